"""How the end of a run answers to what is put in the place of an evaluation's output: all that a choice of evaluations is judged by.

Near the run without a plan, an end moves in proportion to what is put in. Put in the outputs of earlier evaluations one by one, and
the end of every run that forecasts whole evaluations from others, with whatever weights, is a sum of these moves: choosing evaluations
and weights is linear algebra on their products, and takes no further run.

Shapes: M moves, B samples, N numbers of all ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.cache.execute import Outputs
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import OnStep
from ditkit.execution import PLAIN, Execution
from ditkit.routing.gates import evaluations_of_steps
from ditkit.routing.refine import off
from ditkit.routing.replay import Replay

NUDGE = 0.02  # of an evaluation's own output

Move = tuple[int, int]
"""(e, i): what evaluation i said is put in the place of what e did; (e, e): what e said, times 2."""


@dataclass(frozen=True)
class Response:
    """The products (M, M) of the ends' moves, each per sample and relative to its size, in the mean over the samples."""

    evaluations: int
    moves: tuple[Move, ...]
    products: Tensor

    @property
    def window(self) -> int:
        """How far back a forecast may look."""
        return max((evaluation - earlier for evaluation, earlier in self.moves), default=0)


def moves(evaluations: int, window: int) -> tuple[Move, ...]:
    """Of every evaluation but the first: itself, and up to `window` before it."""
    return tuple((e, i) for e in range(1, evaluations) for i in (e, *reversed(range(max(0, e - window), e))))


def responses(model: Model, request: SamplingRequest, window: int, on_step: OnStep | None = None) -> Response:
    """How the ends of the request's runs answer; half of E (1 + window) runs of all evaluations."""
    solver = request.solver
    step_of = {evaluation: step for step, mine in enumerate(evaluations_of_steps(solver)) for evaluation in mine}
    wanted = moves(len(solver.times), window)
    products = torch.zeros(len(wanted), len(wanted), dtype=torch.float64)
    for batch in request.batches():
        replay, said = Replay(model, request, batch, on_step), Said([])
        entries, truth = replay.entries(said)
        rows = []
        for evaluation, earlier in wanted:
            outputs = said.said
            change = NUDGE * outputs[evaluation] if earlier == evaluation else outputs[earlier] - outputs[evaluation]
            end = replay.end(_Changed(outputs, evaluation, outputs[evaluation] + change), entries[step_of[evaluation]])
            rows.append(off(end, truth) / (NUDGE if earlier == evaluation else 1.0))
        rows_MN = torch.stack(rows)
        products += (rows_MN @ rows_MN.T).cpu()
    return Response(len(solver.times), wanted, products / len(request.seeds))


class _Plain:
    def at(self, evaluation: int) -> Execution:
        return PLAIN

    def outputs(self) -> Outputs:
        return {}


@dataclass
class Said(_Plain):
    """The run without a plan; what the network says at each evaluation is noted."""

    said: list[Tensor]

    def network(self, evaluation: int, compute: Callable[[], Tensor]) -> Tensor:
        self.said.append(compute())
        return self.said[-1]


@dataclass
class _Changed(_Plain):
    """The same run as was `said`, but for one evaluation."""

    said: list[Tensor]
    evaluation: int
    output: Tensor

    def network(self, evaluation: int, compute: Callable[[], Tensor]) -> Tensor:
        if evaluation > self.evaluation:
            return compute()
        return self.output if evaluation == self.evaluation else self.said[evaluation]
