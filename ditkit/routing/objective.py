"""The loss of Learning-to-Cache: how far a softly cached evaluation is from a full one, for samples at different gates at once.

The run is entered with a noisy sample, the network evaluates up to the gate while every branch's output is remembered, and the gated
evaluation is made twice: by the teacher in full, and by the student, whose every branch is score * fresh + (1 - score) * remembered.
Only the student's last evaluation has a graph, and only the scores have gradients.

Shapes: B samples, R rows of the network's batch (with guidance a condition and a null for each sample, side by side), G S as in the
router, C h w latent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ditkit.diffusion.guidance import combine
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.solvers import Solver, State
from ditkit.engine.conditions import PromptTable, conditions
from ditkit.engine.model import Model
from ditkit.execution import PLAIN, Execution, Site
from ditkit.routing.gates import Gate


class Memory:
    """What every branch last gave, for the rows that are still on their way."""

    def __init__(self) -> None:
        self.outputs: dict[Site, Tensor] = {}

    def record(self, rows: int | None, weights: dict[Site, Tensor] | None = None) -> Execution:
        """Compute every branch, mix it with what is remembered if there are `weights`, and remember it for the first (or all) `rows`."""

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            output = self._mixed(site, compute(), rows, weights)
            later = self.outputs[site][rows:] if rows is not None and site in self.outputs else output[:0]
            self.outputs[site] = torch.cat([output, later]) if len(later) else output
            return output

        return Execution(branch=branch)

    def mix(self, weights: dict[Site, Tensor] | None) -> Execution:
        """Compute every branch and mix it with what is remembered, which stays as it is."""
        return Execution(branch=lambda site, compute: self._mixed(site, compute(), None, weights))

    def _mixed(self, site: Site, fresh: Tensor, rows: int | None, weights: dict[Site, Tensor] | None) -> Tensor:
        if weights is None:
            return fresh
        return torch.lerp(self.outputs[site][:rows], fresh, weights[site])


class _Asked(Exception):
    """The solver wants the network's answer at `x`."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


def next_input(solver: Solver, gate: Gate, x: Tensor, state: State, known: Sequence[Prediction]) -> Tensor:
    """The network's input at evaluation path[len(known)], when the run is entered at `gate.step` with `x` and the network has said
    `known` so far: the solver's steps are taken again, which costs next to nothing."""
    said = dict(zip(gate.path, known, strict=False))

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        if evaluation in said:
            return said[evaluation]
        raise _Asked(x)

    try:
        for step in range(gate.step, solver.steps):
            x, state = solver.step(denoise, x, step, state)
    except _Asked as asked:
        return asked.x
    raise AssertionError("the run ended before the gate")


@dataclass(frozen=True)
class Outputs:
    """What teacher and student say at the gate (B, channels, h, w), guided if asked, and the gated evaluation's input."""

    teacher: Tensor
    student: Tensor
    x: Tensor

    def squared_error(self) -> Tensor:
        """The mean over all channels and pixels, variance included (B,)."""
        return (self.teacher - self.student).square().flatten(1).mean(1)


class GatedRun:
    """Teacher and student of one model and solver at any of its gates."""

    def __init__(
        self, model: Model, solver: Solver, gates: Sequence[Gate], guidance: float = 1.0, prompts: PromptTable | None = None
    ) -> None:
        self.model, self.solver, self.gates, self.guidance, self.prompts = model, solver, gates, guidance, prompts
        self._row = {gate.evaluation: row for row, gate in enumerate(gates)}
        self._times = torch.tensor(solver.times, device=model.device)

    def outputs(self, at_B: Sequence[int], scores_GS: Tensor, x_B: Tensor, state: State, y_B: Tensor) -> Outputs:
        """Sample i enters at gate `at_B[i]`'s step with x_B[i]. A `state` is (B, ...) for what a solver remembers, (draws, B, ...) for
        noise."""
        order = sorted(range(len(at_B)), key=lambda index: -len(self.gates[at_B[index]].path))  # those with the longest way first
        place = torch.tensor(order, device=x_B.device)
        chosen = [self.gates[at_B[index]] for index in order]
        x_B, y_R = x_B[place], self._asked(y_B[place])
        if state is not None:
            state = state[:, place] if self.solver.draws else state[place]
        memory = Memory()
        known: list[list[Prediction]] = [[] for _ in chosen]
        with torch.no_grad():
            for round_ in range(len(chosen[0].path) - 1):
                going = sum(len(gate.path) - 1 > round_ for gate in chosen)
                inputs = self._inputs(chosen[:going], x_B, state, known)
                weights = self._weights([gate.path[round_] for gate in chosen[:going]], scores_GS) if round_ else None
                execution = memory.record(going * self._rows_each, weights)
                said = self._evaluate(
                    inputs, _first(y_R, going * self._rows_each), [gate.path[round_] for gate in chosen[:going]], execution
                )
                for index in range(going):
                    known[index].append(self._prediction(said[index : index + 1]))
            inputs = self._inputs(chosen, x_B, state, known)
            evaluations = [gate.evaluation for gate in chosen]
            teacher = self._evaluate(inputs, y_R, evaluations, PLAIN)
        student = self._evaluate(inputs, y_R, evaluations, memory.mix(self._weights(evaluations, scores_GS)))
        back = torch.argsort(place)
        return Outputs(teacher[back], student[back], inputs[back])

    @property
    def _rows_each(self) -> int:
        return 1 if self.guidance == 1 else 2

    def _inputs(self, chosen: Sequence[Gate], x_B: Tensor, state: State, known: Sequence[Sequence[Prediction]]) -> Tensor:
        def state_of(index: int) -> State:
            if state is None:
                return None
            return state[:, index : index + 1] if self.solver.draws else state[index : index + 1]

        found = [next_input(self.solver, gate, x_B[i : i + 1], state_of(i), known[i]) for i, gate in enumerate(chosen)]
        return torch.cat(found)

    def _weights(self, evaluations: Sequence[int], scores_GS: Tensor) -> dict[Site, Tensor] | None:
        """Per site the share of the fresh output (R, 1, 1): 1 where the evaluation is not gated, None if that is everywhere."""
        rows = [self._row.get(evaluation) for evaluation in evaluations]
        if all(row is None for row in rows):
            return None
        ones = torch.ones_like(scores_GS[:1])
        table = torch.cat([scores_GS, ones])
        picked = table[[len(scores_GS) if row is None else row for row in rows]].repeat_interleave(self._rows_each, 0)
        return {site: picked[:, column, None, None] for column, site in enumerate(self.model.backbone.sites)}

    def _asked(self, y_B: Tensor) -> Any:
        """What `condition` reads for every row: a sample's label or prompt, and with guidance what it is guided away from beside it."""
        guided, labels = self.guidance != 1, y_B.tolist()
        asked = conditions(self.model.backbone, self.prompts, labels, y_B.device, guided=guided)
        columns = [[asked.own[label], asked.null[label]] if guided else [asked.own[label]] for label in labels]
        columns_R = torch.tensor(columns, device=y_B.device).flatten()
        return tree_map(lambda value: None if value is None else value[0].index_select(0, columns_R), asked.columns)

    def _evaluate(self, x_B: Tensor, y_R: Any, evaluations: Sequence[int], execution: Execution) -> Tensor:
        backbone = self.model.backbone
        t_R = self._times[torch.tensor(evaluations, device=x_B.device)].repeat_interleave(self._rows_each)
        out_R = backbone(x_B.repeat_interleave(self._rows_each, 0), backbone.condition(t_R, y_R), execution)
        if self.guidance == 1:
            return out_R
        return combine(torch.cat([out_R[::2], out_R[1::2]]), self.guidance, self.model.spec.guided_channels)

    def _prediction(self, out: Tensor) -> Prediction:
        return self.model.reading.of(out)


def _first(y_R: Any, rows: int) -> Any:
    return tree_map(lambda value: None if value is None else value[:rows], y_R)


def straight_through(scores_GS: Tensor, keep_GS: Tensor) -> Tensor:
    """Decisions in the forward pass, the scores' gradients in the backward pass."""
    return keep_GS.to(scores_GS.dtype) + (scores_GS - scores_GS.detach())
