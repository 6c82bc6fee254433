"""How the end of a run answers to what is put in the place of one evaluation's output: what a choice of evaluations is judged by.

An end moves nearly in proportion to what is put in. Put in the outputs of earlier evaluations one by one, and how far off a run ends that
forecasts this evaluation from them, with whatever weights, is known without another run: from the products of these moves.

Shapes: W earlier evaluations, N numbers of all ends.
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


@dataclass(frozen=True)
class Response:
    """`products[e]` (W, W) are those of the moves of the end when evaluation e - 1 - w speaks for e; each per sample, relative to its
    size, in the mean over the samples. Of evaluation 0 there are none."""

    products: tuple[Tensor, ...]

    @property
    def evaluations(self) -> int:
        return len(self.products)

    @property
    def window(self) -> int:
        """How far back a forecast may look."""
        return max(map(len, self.products), default=0)


def responses(model: Model, request: SamplingRequest, window: int, on_step: OnStep | None = None) -> Response:
    """How the ends of the request's runs answer, up to `window` evaluations back; it takes half of E x `window` runs."""
    solver = request.solver
    evaluations = len(solver.times)
    step_of = {evaluation: step for step, mine in enumerate(evaluations_of_steps(solver)) for evaluation in mine}
    products = [torch.zeros(min(e, window), min(e, window), dtype=torch.float64) for e in range(evaluations)]
    for batch in request.batches():
        replay, run = Replay(model, request, batch, on_step), Said([])
        entries, truth = replay.entries(run)
        for e in range(1, evaluations):
            earlier = run.said[e - len(products[e]) : e][::-1]
            ends = [replay.end(_Changed(run.said, e, output), entries[step_of[e]]) for output in earlier]
            moves_WN = torch.stack([off(end, truth).flatten() for end in ends])
            products[e] += (moves_WN @ moves_WN.T).cpu() / len(request.seeds)
    return Response(tuple(products))


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
