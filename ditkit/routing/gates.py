"""Which evaluations of a run are gated, and how their inputs come about."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.diffusion.level import Level
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


def spare_evaluations(solver: Solver) -> tuple[int, ...]:
    """Those that make no step themselves but only say where the next evaluation is to be, as the first of DPM-Solver-2's two."""
    steps = evaluations_of_steps(solver)
    return tuple(e for step, mine in enumerate(steps) for e in mine[:-1] if _probed(solver, step, e)[0] == _probed(solver, step)[0])


def evaluations_of_steps(solver: Solver) -> list[list[int]]:
    """The evaluations that each solver step makes, in order: found by taking the steps with a network that says nothing."""
    return [_probed(solver, step)[1] for step in range(solver.steps)]


class _Same(Prediction):
    """The same whatever it is read as, and wherever."""

    def to_x0(self, x: Tensor, level: Level) -> Tensor:
        return self.value

    to_epsilon = to_velocity = to_score = to_x0


def _probed(solver: Solver, step: int, loud: int | None = None) -> tuple[float, list[int]]:
    """Where a step from 0 ends when the network says 1 at the `loud` evaluation and 0 at all others, and which evaluations it makes."""
    found: list[int] = []

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        found.append(evaluation)
        return _Same(torch.full_like(x, float(evaluation == loud)), variance=torch.zeros_like(x))

    state = torch.zeros(solver.draws, 1) if solver.draws else torch.zeros(1)
    end, _ = solver.step(denoise, torch.zeros(1), step, state)
    return float(end), found
