"""What scores are tried on: one gated evaluation at a time, as published, or whole runs.

Shapes: B samples, G S as in the router, R rows of the network's batch, C h w latent.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.solvers import Denoise, Solver
from ditkit.engine.conditions import PromptTable
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import trajectory
from ditkit.execution import Execution
from ditkit.routing.gates import Gate
from ditkit.routing.history import SoftHistory
from ditkit.routing.objective import GatedRun
from ditkit.routing.starts import Starts, Trajectories


class Tried(NamedTuple):
    """The squared error of each sample (B,), and which gates it passed (B, G), 1 or 0."""

    errors: Tensor
    passed: Tensor


class Trial(Protocol):
    """One batch of a router's training; a pure function of the scores and the generator."""

    model: Model
    solver: Solver
    gates: Sequence[Gate]

    def __call__(self, scores_GS: Tensor, generator: torch.Generator, rows: slice, weights_GSJ: Tensor | None = None) -> Tried: ...


class SingleEvaluations:
    """The published trial: a batch is spread over the gates, and an error is that of what the network says there."""

    def __init__(self, run: GatedRun, starts: Starts, batch: int) -> None:
        self.run, self.starts, self.batch = run, starts, batch
        self.model, self.solver, self.gates = run.model, run.solver, run.gates

    def __call__(self, scores_GS: Tensor, generator: torch.Generator, rows: slice, weights_GSJ: Tensor | None = None) -> Tried:
        assert weights_GSJ is None, "single evaluations reuse, they do not forecast"
        device = self.model.device
        order = torch.randperm(len(self.gates), generator=generator).tolist()
        at_B = [order[index % len(order)] for index in range(self.batch)]
        x, state, y = self.starts.draw([self.gates[gate].step for gate in at_B], generator)
        if state is not None:
            state = (state[:, rows] if self.solver.draws else state[rows]).to(device)
        outputs = self.run.outputs(at_B[rows], scores_GS, x[rows].to(device), state, y[rows].to(device))
        return Tried(outputs.squared_error(), torch.eye(len(self.gates), device=device)[at_B[rows]])


class WholeRuns:
    """Beyond the paper: every sample passes all gates, each with what the ones before made of it, and its error is that of the run's
    end, |z - z'|^2 / |z'|^2 with z' from the full run. This is what a plan is judged by, and it knows which errors a run forgets,
    which it amplifies and which cancel. With weights (G, S, J) what is not computed is forecast from the last J outputs.

    It takes the memory of a run's whole graph, or with `recompute` that of one evaluation, and of what is remembered between them, for
    one more evaluation each.
    """

    def __init__(
        self,
        model: Model,
        solver: Solver,
        gates: Sequence[Gate],
        runs: Trajectories,
        batch: int,
        guidance: float,
        prompts: PromptTable | None = None,
        *,
        recompute: bool = False,
    ) -> None:
        self.model, self.solver, self.gates, self.recompute = model, solver, gates, recompute
        self.runs, self.batch, self.guidance, self.prompts = runs, batch, guidance, prompts
        self._row = {gate.evaluation: row for row, gate in enumerate(gates)}

    def __call__(self, scores_GS: Tensor, generator: torch.Generator, rows: slice, weights_GSJ: Tensor | None = None) -> Tried:
        x, noise, end, y = self.runs.whole(torch.randint(len(self.runs), (self.batch,), generator=generator)[rows])
        request = SamplingRequest(tuple(y.tolist()), (0,) * len(y), self.solver, self.guidance, prompts=self.prompts)
        history = SoftHistory(1 if weights_GSJ is None else weights_GSJ.shape[-1])
        denoise = denoiser(self.model, request, request.labels, executions=self._executions(history, scores_GS, weights_GSJ))
        if self.recompute:
            denoise = _recomputed(denoise, history)
        made, end = x.to(self.model.device), end.to(self.model.device)
        for made in trajectory(denoise, self.solver, made, self.solver.init(None if noise is None else noise.to(self.model.device))):  # noqa: B007, B020
            pass
        errors = (made - end).square().flatten(1).sum(1) / end.square().flatten(1).sum(1)
        return Tried(errors, torch.ones(len(y), len(self.gates), device=self.model.device))

    def _executions(self, history: SoftHistory, scores_GS: Tensor, weights_GSJ: Tensor | None) -> Callable[[int], Execution]:
        """At a gate every branch is mixed with what is forecast of it, elsewhere it is computed."""
        sites = self.model.backbone.sites

        def at(evaluation: int) -> Execution:
            row = self._row.get(evaluation)
            if row is None:
                return history.computed()
            weights = {} if weights_GSJ is None else dict(zip(sites, weights_GSJ[row].unbind(), strict=True))
            return history.mixed(dict(zip(sites, scores_GS[row].unbind(), strict=True)), weights)

        return at


def _recomputed(denoise: Denoise, history: SoftHistory) -> Denoise:
    """The same evaluations, whose graphs are made again in the backward pass. What is remembered goes in and comes out as tensors, so
    that making it again changes nothing outside."""

    def evaluated(x: Tensor, evaluation: int) -> Prediction:
        known, structure = tree_flatten(history.outputs)
        made: list[Any] = []

        def once(x: Tensor, *known: Tensor) -> tuple[Tensor | None, ...]:
            history.outputs = tree_unflatten(known, structure)
            said = denoise(x, evaluation)
            kept, after = tree_flatten(history.outputs)
            made[:] = [said, after]
            return (said.value, said.variance, *kept)

        value, variance, *kept = checkpoint(once, x, *known, use_reentrant=False)  # pyright: ignore[reportGeneralTypeIssues]
        said, after = made
        history.outputs = tree_unflatten(kept, after)
        return replace(said, value=value, variance=variance)

    return evaluated
