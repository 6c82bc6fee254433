"""The weights of whole forecasts, refined by Gauss and Newton's method on the ends of whole runs.

The closed form asks each forecast to be near what the network would have said; what counts is where the run ends, and there errors of
different evaluations can cancel. How a run's end moves with each weight is found by running it again from that evaluation on with
the weight a little changed: no gradient, no graph, no more memory than sampling takes, for every network and solver.

The weights of a forecast from two outputs or more are kept at a sum of one: it is then exact for what stays as it is, there is one number
less to find for each, and two weights are one fused multiply-add.

What is made small is the mean of the samples' relative errors, not of their squares, which the few hardest samples would rule: each
iteration is one of least squares in which a sample weighs the less the further off it is (iteratively reweighted least squares).

Shapes: P weights, B samples, N numbers of an end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ditkit.cache.execute import PlanRun
from ditkit.cache.fit import DIGITS
from ditkit.cache.forecast import Cell
from ditkit.cache.plan import CachePlan
from ditkit.engine.denoiser import OnStep
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.routing.gates import evaluations_of_steps
from ditkit.routing.replay import Entry, Replay

NUDGE = 0.02  # of a weight, to see how the end moves
DAMPING = 1e-3  # of the normal equations' diagonal, at first (Levenberg and Marquardt)
NEAREST = 0.1  # of the mean error: samples nearer than that weigh no more
TRIES = 4  # of a step, each damped ten times more than the one before
PATIENCE = 0.01  # a step that gains less than this share of the error is the last

Weight = tuple[int, int]
"""An evaluation that is forecast as a whole, and which of its weights; what it gains the first one loses."""


@dataclass
class Batch:
    """A batch with where its runs end without a plan (B, ...), and the run under the plan so far: how far off it ends (B, N)."""

    replay: Replay
    truth: Tensor
    entries: list[Entry]
    left: Tensor

    @classmethod
    def of(cls, replay: Replay, truth: Tensor, plan: CachePlan) -> "Batch":
        batch = cls(replay, truth, [], truth)
        batch.entries, end = replay.entries(PlanRun(plan))
        batch.left = batch.off(end)
        return batch

    def off(self, end: Tensor) -> Tensor:
        return off(end, self.truth)


def off(end: Tensor, truth: Tensor) -> Tensor:
    """How far an end (B, ...) is off, in units of each sample's own size (B, N)."""
    size = truth.flatten(1).norm(dim=1).clamp_min(1e-12)
    return ((end - truth).flatten(1) / size[:, None]).double()


def refined(
    model: Model,
    request: SamplingRequest,
    plan: CachePlan,
    truths: Sequence[Tensor],
    iterations: int,
    on_step: OnStep | None = None,
    on_error: Callable[[float], None] | None = None,
) -> CachePlan:
    """The plan with weights of its whole forecasts for which the request's runs end nearer to `truths`, the ends (B, ...) of its batches.

    `on_error` is told the mean of the samples' relative errors, before and after every iteration.
    """
    weights = [(evaluation, place) for evaluation, cell in plan.whole.items() for place in range(1, len(cell))]
    plan = _moved(plan, weights, [0.0] * len(weights))
    replays = [Replay(model, request, batch, on_step) for batch in request.batches()]
    batches = [Batch.of(replay, truth, plan) for replay, truth in zip(replays, truths, strict=True)]
    step_of = {evaluation: step for step, mine in enumerate(evaluations_of_steps(request.solver)) for evaluation in mine}
    error, damping = _error(batches), DAMPING
    for _ in range(iterations if weights else 0):
        if on_error:
            on_error(error)
        normal, slope = _normal_equations(batches, plan, weights, step_of)
        for _ in range(TRIES):
            move = torch.linalg.solve(normal + torch.diag(damping * normal.diagonal() + 1e-30), -slope)
            tried = _moved(plan, weights, move.tolist())
            moved = [Batch.of(batch.replay, batch.truth, tried) for batch in batches]
            if (now := _error(moved)) < error:
                break
            damping *= 10
        else:
            break
        gained, plan, batches, error, damping = error - now, tried, moved, now, damping / 10
        if gained < PATIENCE * (gained + now):
            break
    if on_error:
        on_error(error)
    return plan


def _error(batches: Sequence[Batch]) -> float:
    return float(torch.cat([batch.left.norm(dim=1) for batch in batches]).mean())


def _normal_equations(
    batches: Sequence[Batch], plan: CachePlan, weights: Sequence[Weight], step_of: dict[int, int]
) -> tuple[Tensor, Tensor]:
    """The products of the ends' derivatives with each other (P, P), and with what is left (P), summed over all samples as they weigh."""
    nearest = NEAREST * _error(batches)
    normal, slope = torch.zeros(len(weights), len(weights), dtype=torch.float64), torch.zeros(len(weights), dtype=torch.float64)
    for batch in batches:
        rows = []
        for evaluation, place in weights:
            entry = batch.entries[step_of[evaluation]]
            nudged = PlanRun(_moved(plan, [(evaluation, place)], [NUDGE]), entry.outputs)
            rows.append((batch.off(batch.replay.end(nudged, entry)) - batch.left) / NUDGE)
        share_B1 = batch.left.norm(dim=1).clamp_min(nearest).rsqrt()[:, None]
        rows_PN = torch.stack([(row * share_B1).flatten() for row in rows])
        normal += (rows_PN @ rows_PN.T).cpu()
        slope += (rows_PN @ (batch.left * share_B1).flatten()).cpu()
    return normal, slope


def _moved(plan: CachePlan, weights: Sequence[Weight], by: Sequence[float]) -> CachePlan:
    cells: dict[int, list[float]] = {evaluation: list(cell) for evaluation, cell in plan.whole.items()}
    for (evaluation, place), change in zip(weights, by, strict=True):
        cell = cells[evaluation]
        cell += [0.0] * (place + 1 - len(cell))  # where a weight was zero it is not written down
        cell[place] = round(cell[place] + change, DIGITS)
        cell[0] = round(1 - sum(cell[1:]), DIGITS)
    whole: dict[int, Cell] = {evaluation: tuple(cell) for evaluation, cell in cells.items()}
    return replace(plan, whole=whole)
