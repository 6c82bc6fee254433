"""Scores for the branches of gated evaluations, and the decisions that spend a budget of multiply-adds on the highest of them.

Shapes: G gated evaluations, S sites.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ditkit.errors import ConfigError
from ditkit.execution import Site, Sites


def kept_share(keep_GS: Tensor, evaluations: int, sites: Sites, costs: Mapping[Site | str, int]) -> Tensor:
    """The share of the whole run's multiply-adds that is still computed, from scores or decisions in [0, 1]."""
    gated = torch.tensor([float(costs[site]) for site in sites], device=keep_GS.device)
    full = evaluations * sum(costs.values())
    return 1 - ((1 - keep_GS) * gated).sum() / full


def within_budget(logits_GS: Tensor, evaluations: int, sites: Sites, costs: Mapping[Site | str, int], budget: float) -> Tensor:
    """Compute the highest-scored cells until `budget`, the share of the run's multiply-adds that may be spent, is used up."""
    least = float(kept_share(torch.zeros_like(logits_GS), evaluations, sites, costs))
    if budget < least:
        way = "raise the budget or the period"
        raise ConfigError(f"a budget of {budget:g} cannot be met: with these gates at least {least:.3f} is computed; {way}")
    gated = torch.tensor([float(costs[site]) for site in sites], dtype=torch.float64)
    left = (budget - least) * evaluations * sum(costs.values()) * (1 + 1e-9)
    order = logits_GS.flatten().argsort(descending=True, stable=True)
    spent = gated.repeat(len(logits_GS))[order].cumsum(0)
    keep = torch.zeros(logits_GS.numel(), dtype=torch.bool)
    keep[order[spent <= left]] = True
    return keep.view_as(logits_GS)
