"""Runs of one batch, from their beginning or entered again at any solver step, however their evaluations are conducted.

Shapes: B samples, C h w latent.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ditkit.cache.execute import Outputs
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.solvers import State
from ditkit.engine.denoiser import OnStep, denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.execution import Execution


class Conduct(Protocol):
    """Who says how evaluations are made, as a `PlanRun` does."""

    def at(self, evaluation: int) -> Execution: ...

    def network(self, evaluation: int, compute: Callable[[], Tensor], /) -> Tensor: ...

    def outputs(self) -> Outputs: ...


class Entry(NamedTuple):
    """A run before one of its solver steps: the samples (B, C, h, w), the solver's state, and the outputs that are kept."""

    step: int
    x: Tensor
    state: State
    outputs: Outputs


class Replay:
    """A batch of a request. What depends on labels and times alone is computed once for all its runs."""

    def __init__(self, model: Model, request: SamplingRequest, batch: range, on_step: OnStep | None = None) -> None:
        solver, seeds = request.solver, tuple(request.seeds[index] for index in batch)
        noise = SampleNoise(seeds).draw(1 + solver.draws, model.spec.sample_shape, model.device)
        self._solver = solver
        self._conduct: Conduct | None = None
        self.start = Entry(0, noise[0], solver.init(noise[1:] if solver.draws else None), {})

        def at(evaluation: int) -> Execution:
            assert self._conduct is not None
            return self._conduct.at(evaluation)

        def whole(evaluation: int, compute: Callable[[], Tensor]) -> Tensor:
            assert self._conduct is not None
            return self._conduct.network(evaluation, compute)

        labels = [request.labels[index] for index in batch]
        self._denoise = denoiser(model, request, labels, on_step, executions=at, whole=whole)

    @torch.inference_mode()
    def entries(self, conduct: Conduct) -> tuple[list[Entry], Tensor]:
        """The run before each of its steps, and its end (B, C, h, w)."""
        self._conduct = conduct
        _, x, state, _ = self.start
        found: list[Entry] = []
        for step in range(self._solver.steps):
            found.append(Entry(step, x, state, conduct.outputs()))
            x, state = self._solver.step(self._denoise, x, step, state)
        return found, x

    @torch.inference_mode()
    def end(self, conduct: Conduct, entry: Entry) -> Tensor:
        """Where the run ends (B, C, h, w) from `entry` on."""
        self._conduct = conduct
        x, state = entry.x, entry.state
        for step in range(entry.step, self._solver.steps):
            x, state = self._solver.step(self._denoise, x, step, state)
        return x
