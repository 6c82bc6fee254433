"""Runs of one batch under a plan, from their beginning or entered again at any solver step.

Shapes: B samples, C h w latent.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ditkit.cache.execute import Outputs, PlanRun
from ditkit.cache.plan import CachePlan
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.solvers import State
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import OnStep, denoiser
from ditkit.execution import Execution


class Entry(NamedTuple):
    """A run before one of its solver steps: the samples (B, C, h, w), the solver's state, and the outputs that the plan keeps."""

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
        self._run: PlanRun | None = None
        self.start = Entry(0, noise[0], solver.init(noise[1:] if solver.draws else None), {})

        def at(evaluation: int) -> Execution:
            assert self._run is not None
            return self._run.at(evaluation)

        def whole(evaluation: int, compute: Callable[[], Tensor]) -> Tensor:
            assert self._run is not None
            return self._run.network(evaluation, compute)

        labels = [request.labels[index] for index in batch]
        self._denoise = denoiser(model, request, labels, on_step, executions=at, whole=whole)

    @torch.inference_mode()
    def entries(self, plan: CachePlan) -> tuple[list[Entry], Tensor]:
        """The run before each of its steps, and its end."""
        found: list[Entry] = []
        return found, self._from(self.start, plan, found)

    @torch.inference_mode()
    def end(self, plan: CachePlan, entry: Entry | None = None) -> Tensor:
        """Where the run ends under this plan (B, C, h, w), from `entry` on."""
        return self._from(entry or self.start, plan, [])

    def _from(self, entry: Entry, plan: CachePlan, found: list[Entry]) -> Tensor:
        step, x, state, outputs = entry
        self._run = PlanRun(plan, outputs)
        for k in range(step, self._solver.steps):
            found.append(Entry(k, x, state, self._run.outputs()))
            x, state = self._solver.step(self._denoise, x, k, state)
        return x
