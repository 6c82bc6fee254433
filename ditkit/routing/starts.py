"""With what noisy samples a gated run is entered: data with noise added, or states of the model's own trajectories.

Shapes: B samples, N trajectories, K solver steps, C h w latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ditkit.data.examples import Examples
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.solvers import Solver, State
from ditkit.engine.denoiser import OnStep, denoiser
from ditkit.engine.finite import check_trajectories
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.routing.gates import evaluations_of_steps


class Starts(Protocol):
    def draw(self, steps_B: Sequence[int], generator: torch.Generator) -> tuple[Tensor, State, Tensor]:
        """x (B, C, h, w) at the beginning of each sample's solver step, the solver's state there, and labels (B,); on the CPU."""
        ...


class NoisedData:
    """x_t = alpha x0 + sigma noise, as published; labels are dropped with a probability, if there is a null label to put instead."""

    def __init__(self, examples: Examples, solver: Solver, model: Model, label_dropout: float = 0.1) -> None:
        self.examples, self.solver, self.label_dropout = examples, solver, label_dropout
        first = [evaluations[0] for evaluations in evaluations_of_steps(solver)]
        self.levels = [solver.levels[evaluation] for evaluation in first]
        self._null = int(model.backbone.null(torch.zeros(1, dtype=torch.long))[0]) if model.spec.can_be_guided else None

    def draw(self, steps_B: Sequence[int], generator: torch.Generator) -> tuple[Tensor, State, Tensor]:
        count = len(steps_B)
        x0, y = self.examples.draw(generator, count, slice(count))
        noise = torch.randn((1 + self.solver.draws, *x0.shape), generator=generator)
        dropped = torch.rand(count, generator=generator) < self.label_dropout
        if self._null is not None:
            y = torch.where(dropped, self._null, y)
        column = (count, *[1] * (x0.dim() - 1))
        alpha, sigma = (torch.tensor(part).reshape(column) for part in zip(*(self.levels[k][:2] for k in steps_B), strict=True))
        x = (alpha * x0 + sigma * noise[0]).float()
        return x, noise[1:] if self.solver.draws else x0, y  # a solver that remembers the last x0 gets the true one


@dataclass(frozen=True)
class Trajectories:
    """States (N, K, C, h, w) of a model's own runs at the beginning of every solver step, with what the solver remembered there, and
    their `ends` (N, C, h, w)."""

    x: Tensor
    ends: Tensor
    remembered: Tensor | None
    labels: Tensor
    seeds: tuple[int, ...]
    draws: int = 0

    def __len__(self) -> int:
        return len(self.x)

    def whole(self, which_B: Tensor) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Runs from the first noise (B, C, h, w), with the noise (draws, B, C, h, w) of a solver that draws some, to their ends, and
        labels (B,)."""
        return self.x[which_B, 0], self._noise(which_B) if self.draws else None, self.ends[which_B], self.labels[which_B]

    def _noise(self, which_B: Tensor) -> Tensor:
        seeds = tuple(self.seeds[index] for index in which_B.tolist())
        return SampleNoise(seeds).draw(1 + self.draws, self.x.shape[2:])[1:]

    def draw(self, steps_B: Sequence[int], generator: torch.Generator) -> tuple[Tensor, State, Tensor]:
        which = torch.randint(len(self.x), (len(steps_B),), generator=generator)
        steps = torch.tensor(steps_B)
        if self.draws:
            state: State = self._noise(which)
        else:
            state = None if self.remembered is None else self.remembered[which, steps]
        return self.x[which, steps], state, self.labels[which]


@torch.inference_mode()
def record_trajectories(model: Model, request: SamplingRequest, on_step: OnStep | None = None) -> Trajectories:
    """Sample the request without a plan and keep the state before every solver step, and the last."""
    solver = request.solver
    states: list[Tensor] = []
    ends: list[Tensor] = []
    remembered: list[Tensor] = []
    for batch in request.batches():
        labels = [request.labels[index] for index in batch]
        noise = SampleNoise(tuple(request.seeds[index] for index in batch)).draw(1 + solver.draws, model.spec.sample_shape, model.device)
        denoise = denoiser(model, request, labels, on_step)
        x, state = noise[0], solver.init(noise[1:] if solver.draws else None)
        befores, memory = [], []
        for step in range(solver.steps):
            befores.append(x.float().cpu())
            memory.append(torch.zeros_like(befores[-1]) if state is None or solver.draws else state.float().cpu())
            x, state = solver.step(denoise, x, step, state)
        ends.append(x.float().cpu())
        check_trajectories(model, request, batch, ends[-1])
        states.append(torch.stack(befores, 1))
        remembered.append(torch.stack(memory, 1))
    memories = None if solver.draws else torch.cat(remembered)
    return Trajectories(
        torch.cat(states), torch.cat(ends), memories, torch.tensor(tuple(request.labels)), tuple(request.seeds), solver.draws
    )
