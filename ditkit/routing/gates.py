"""Which evaluations of a run are gated, and how their inputs come about."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.solvers import Solver
from ditkit.errors import ConfigError


@dataclass(frozen=True)
class Gate:
    """Evaluation `path[-1]` may reuse what `path[:-1]` computed; the run is entered at solver step `step`, whose first evaluation is
    `path[0]`."""

    step: int
    path: tuple[int, ...]

    @property
    def evaluation(self) -> int:
        return self.path[-1]


def gates(solver: Solver, period: int = 2) -> tuple[Gate, ...]:
    """The gated evaluations when one in `period` computes everything, in order.

    A solver with one evaluation a step computes everything at evaluations 0, period, ... A single-step solver of second order does
    at 0 and 1, 1 + period, ...: its midpoints make the steps, and for period 2 every later start is gated, as published.
    """
    if period < 2:
        raise ConfigError(f"period must be at least 2, not {period}: of that many evaluations one computes everything")
    if not solver.times:
        raise ConfigError(f"{solver.name} chooses its times as it goes, so no plan can be made for it; choose another solver")
    steps = evaluations_of_steps(solver)
    owner = {evaluation: step for step, evaluations in enumerate(steps) for evaluation in evaluations}
    offset = 1 if any(len(evaluations) > 1 for evaluations in steps) else 0
    found: list[Gate] = []
    source = 0
    for evaluation in range(len(solver.times)):
        if evaluation == 0 or (evaluation - offset) % period == 0:
            source = evaluation
        else:
            step = owner[source]
            found.append(Gate(step, tuple(range(steps[step][0], evaluation + 1))))
    if not found:
        raise ConfigError(f"a run of {len(solver.times)} evaluations has none that could reuse another's branches")
    return tuple(found)


def evaluations_of_steps(solver: Solver) -> list[list[int]]:
    """The evaluations that each solver step makes, in order: found by taking the steps with a network that says nothing."""
    found: list[list[int]] = []

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        found[-1].append(evaluation)
        return Prediction(torch.zeros_like(x), "velocity", torch.zeros_like(x))  # which no level makes a solver divide by 0 for

    x = torch.zeros(1)
    state = solver.init(torch.zeros(solver.draws, 1) if solver.draws else None)
    for step in range(solver.steps):
        found.append([])
        x, state = solver.step(denoise, x, step, state)
    return found
