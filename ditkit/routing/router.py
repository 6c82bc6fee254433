"""The router: one score per gated evaluation and site, the same for every input, and the plan that it becomes.

Shapes: G gated evaluations, S sites.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.cache.budget import within_budget
from ditkit.cache.fit import DIGITS
from ditkit.cache.forecast import Cell
from ditkit.cache.plan import CachePlan
from ditkit.execution import Site, Sites
from ditkit.routing.gates import Gate


class Router(nn.Module):
    """sigmoid(logits[g, s]) is how much of site s is computed, rather than reused, at gated evaluation g.

    `weights[g, s]` (J) are those of the forecast in its stead, where there are any: at first they hold the last output. `price` is what
    computing costs in the loss: fixed, or moved by the training until a budget is met.
    """

    def __init__(
        self, gated: int, sites: int, *, start: float | None = 0.0, price: float = 0.0, seed: int = 0, order: int | None = None
    ) -> None:
        """`start` is every first logit; None draws them from a standard normal, as published. `order` None: outputs are held."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(gated, sites, generator=generator) if start is None else torch.full((gated, sites), float(start))
        self.logits = nn.Parameter(first)
        self.weights = None if order is None else nn.Parameter(torch.tensor([1.0, *[0.0] * (order - 1)]).repeat(gated, sites, 1))
        self.price = nn.Buffer(torch.tensor(price, dtype=torch.float64))

    def scores(self) -> Tensor:
        return torch.sigmoid(self.logits)

    @property
    def slow(self) -> nn.Module:
        """The weights: a run's end moves far with them, and they begin near where they end."""
        return nn.ParameterList([] if self.weights is None else [self.weights])

    @torch.no_grad()
    def begin_with(self, plan: CachePlan, gates: Sequence[Gate], start: float) -> None:
        """Score what a plan computes `start`, the rest -`start`, and take over its weights; branches of whole forecasts begin with those
        of the whole."""
        for row, gate in enumerate(gates):
            for column, computed in enumerate(plan.compute[gate.evaluation]):
                self.logits[row, column] = start if computed else -start
                cell = plan.whole.get(gate.evaluation) or plan.cell(gate.evaluation, column)
                if self.weights is not None and cell:
                    padded = [*cell, *[0.0] * len(self.weights[row, column])][: len(self.weights[row, column])]
                    self.weights[row, column] = torch.tensor(padded)

    @torch.no_grad()
    def clamp(self, most: float) -> None:
        self.logits.clamp_(-most, most)


def site_weights(sites: Sites, costs: Mapping[Site | str, int]) -> Tensor:
    """Each site's multiply-adds (S,) in units of their mean, so that weights of either kind sum to S."""
    weights = torch.tensor([float(costs[site]) for site in sites])
    return weights / weights.mean()


def above(scores_GS: Tensor, threshold: float) -> Tensor:
    """The published decision: compute where the score is above the threshold."""
    return scores_GS > threshold


def decided(
    logits_GS: Tensor, evaluations: int, sites: Sites, costs: Mapping[Site | str, int], *, budget: float | None, threshold: float
) -> Tensor:
    """What a plan keeps of these scores (before the sigmoid): the highest within the budget, or without one those above the threshold."""
    if budget is None:
        return above(torch.sigmoid(logits_GS), threshold)
    return within_budget(logits_GS, evaluations, sites, costs, budget)


def to_plan(
    keep_GS: Tensor,
    gates: Sequence[Gate],
    sites: Sites,
    times: Sequence[float],
    provenance: Mapping[str, Any],
    weights_GSJ: Tensor | None = None,
) -> CachePlan:
    """The decisions as a plan: every evaluation that is not gated computes everything; what is not kept is forecast, or held."""
    rows = [(True,) * len(sites)] * len(times)
    for gate, row in zip(gates, keep_GS.tolist(), strict=True):
        rows[gate.evaluation] = tuple(map(bool, row))
    forecast: dict[tuple[int, int], Cell] = {}
    for gate, weights in zip(gates, [] if weights_GSJ is None else weights_GSJ.tolist(), strict=False):
        for column, own in enumerate(weights):
            if not rows[gate.evaluation][column]:
                forecast[gate.evaluation, column] = _folded(own, sum(row[column] for row in rows[: gate.evaluation]))
    return CachePlan(sites, tuple(times), tuple(rows), provenance, forecast=forecast)


def _folded(weights: Sequence[float], computed: int) -> Cell:
    """Weights for no more outputs than were computed: those of what is missing go to the oldest there is."""
    known = [round(weight, DIGITS) for weight in weights[:computed]]
    known[-1] = round(known[-1] + sum(weights[computed:]), DIGITS)
    return tuple(known)
