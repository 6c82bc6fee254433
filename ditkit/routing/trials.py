"""What scores are tried on: one gated evaluation at a time, as published, or whole runs.

Shapes: B samples, G S as in the router, R rows of the network's batch, C h w latent.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ditkit.diffusion.solvers import Solver
from ditkit.engine.conditions import PromptTable
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import denoiser, trajectory
from ditkit.execution import Execution
from ditkit.routing.gates import Gate
from ditkit.routing.objective import GatedRun, Memory
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

    def __call__(self, scores_GS: Tensor, generator: torch.Generator, rows: slice) -> Tried: ...


class SingleEvaluations:
    """The published trial: a batch is spread over the gates, and an error is that of what the network says there."""

    def __init__(self, run: GatedRun, starts: Starts, batch: int) -> None:
        self.run, self.starts, self.batch = run, starts, batch
        self.model, self.solver, self.gates = run.model, run.solver, run.gates

    def __call__(self, scores_GS: Tensor, generator: torch.Generator, rows: slice) -> Tried:
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
    which it amplifies and which cancel; it takes the memory of a run's whole graph.
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
    ) -> None:
        self.model, self.solver, self.gates = model, solver, gates
        self.runs, self.batch, self.guidance, self.prompts = runs, batch, guidance, prompts
        self._row = {gate.evaluation: row for row, gate in enumerate(gates)}

    def __call__(self, scores_GS: Tensor, generator: torch.Generator, rows: slice) -> Tried:
        x, noise, end, y = self.runs.whole(torch.randint(len(self.runs), (self.batch,), generator=generator)[rows])
        request = SamplingRequest(tuple(y.tolist()), (0,) * len(y), self.solver, self.guidance, prompts=self.prompts)
        denoise = denoiser(self.model, request, request.labels, executions=self._executions(scores_GS))
        made, end = x.to(self.model.device), end.to(self.model.device)
        for made in trajectory(denoise, self.solver, made, self.solver.init(None if noise is None else noise.to(self.model.device))):  # noqa: B007, B020
            pass
        errors = (made - end).square().flatten(1).sum(1) / end.square().flatten(1).sum(1)
        return Tried(errors, torch.ones(len(y), len(self.gates), device=self.model.device))

    def _executions(self, scores_GS: Tensor) -> Callable[[int], Execution]:
        """At a gate every branch is mixed with what it last gave, elsewhere it is computed; all is remembered."""
        sites, memory = self.model.backbone.sites, Memory()

        def at(evaluation: int) -> Execution:
            row = self._row.get(evaluation)
            return memory.record(None, None if row is None else dict(zip(sites, scores_GS[row].unbind(), strict=True)))

        return at
