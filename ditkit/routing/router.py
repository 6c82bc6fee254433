"""The router: one score per gated evaluation and site, the same for every input, and the plan that it becomes.

Shapes: G gated evaluations, S sites.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.cache.plan import CachePlan
from ditkit.execution import Site, Sites
from ditkit.routing.gates import Gate


class Router(nn.Module):
    """sigmoid(logits[g, s]) is how much of site s is computed, rather than reused, at gated evaluation g.

    `price` is what computing costs in the loss: fixed, or moved by the training until a budget is met.
    """

    def __init__(self, gated: int, sites: int, *, start: float | None = 0.0, price: float = 0.0, seed: int = 0) -> None:
        """`start` is every first logit; None draws them from a standard normal, as published."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(gated, sites, generator=generator) if start is None else torch.full((gated, sites), float(start))
        self.logits = nn.Parameter(first)
        self.price = nn.Buffer(torch.tensor(price, dtype=torch.float64))

    def scores(self) -> Tensor:
        return torch.sigmoid(self.logits)

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


def to_plan(keep_GS: Tensor, gates: Sequence[Gate], sites: Sites, times: Sequence[float], provenance: Mapping[str, Any]) -> CachePlan:
    """The decisions as a plan: every evaluation that is not gated computes everything."""
    rows = [(True,) * len(sites)] * len(times)
    for gate, row in zip(gates, keep_GS.tolist(), strict=True):
        rows[gate.evaluation] = tuple(map(bool, row))
    return CachePlan(sites, tuple(times), tuple(rows), provenance)
