"""Policies make plans from the sites of a model and the time grid of a run.

`random`, `top` and `bottom` are the baselines of Learning-to-Cache: they gate the evaluations that a router would gate, and spend
the same budget of multiply-adds without having learned anything. `similarity` is calibrated: it reuses what hardly changed.

Shapes: E evaluations, A how far back an output may come from, G gated evaluations, S sites.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ditkit.cache.budget import within_budget
from ditkit.cache.cost import trajectory_cost
from ditkit.cache.forecast import HELD
from ditkit.cache.plan import CachePlan
from ditkit.errors import ConfigError
from ditkit.execution import Site, Sites

Costs = Mapping[Site | str, int]


def everything(sites: Sites, times: Sequence[float]) -> CachePlan:
    """Compute all sites at every evaluation: the same result as no plan."""
    return every(1, sites, times)


def every(period: int, sites: Sites, times: Sequence[float]) -> CachePlan:
    """Compute all sites at every `period`-th evaluation and reuse them in between."""
    if period < 1:
        raise ConfigError(f"cache.period must be at least 1, not {period}")
    rows = tuple((index % period == 0,) * len(sites) for index in range(len(times)))
    return CachePlan(sites, tuple(times), rows, {"policy": "every", "period": period})


def spread(budget: float, sites: Sites, times: Sequence[float], costs: Costs) -> CachePlan:
    """Reuse all sites at as many evaluations, evenly spread, as bring the run nearest to its `budget` of multiply-adds.

    Raises `ConfigError` where even one that is computed is more than that.
    """
    evaluations = len(times)
    saved_by_one = sum(costs[site] for site in sites) / sum(costs.values()) / evaluations
    reusing = round((1 - budget) / saved_by_one)
    if reusing > evaluations - 1:
        least = 1 - saved_by_one * (evaluations - 1)
        raise ConfigError(f"a budget of {budget:g} cannot be met: with the branches of one evaluation computed it is {least:.3f}")
    places = {evaluations - 1 - index * evaluations // reusing for index in range(reusing)} - {0} if reusing else set()
    rows = tuple((index not in places,) * len(sites) for index in range(evaluations))
    return CachePlan(sites, tuple(times), rows, {"policy": "every", "budget": budget})


def skipping(places: Collection[int], sites: Sites, times: Sequence[float]) -> CachePlan:
    """Do without these evaluations, as a whole; each holds the output before, to be fitted."""
    rows = tuple((evaluation not in places,) * len(sites) for evaluation in range(len(times)))
    return CachePlan(sites, tuple(times), rows, {"policy": "forecast"}, whole=dict.fromkeys(sorted(places), HELD))


def skipped(budget: float, evaluations: int) -> int:
    """How many evaluations to do without, to come nearest to a `budget`; raises `ConfigError` where it allows none at all."""
    count = round((1 - budget) * evaluations)
    if count > evaluations - 1:
        raise ConfigError(f"a budget of {budget:g} cannot be met: of {evaluations} evaluations at least one is made, {1 / evaluations:.3f}")
    return count


def spread_whole(budget: float, spare: Sequence[int], sites: Sites, times: Sequence[float]) -> CachePlan:
    """Do without as many evaluations, as a whole, as bring the run nearest to its `budget`; each holds the output before, to be fitted.

    First those that are `spare`, from which no step is made (the first of a single-step solver's two); of these, or else of the others,
    evenly, the last one included. Raises `ConfigError` where the budget allows no evaluation.
    """
    count = skipped(budget, len(times))
    first = [evaluation for evaluation in spare if evaluation]
    others = [evaluation for evaluation in range(1, len(times)) if evaluation not in first]
    return skipping(_evenly(first, min(count, len(first))) + _evenly(others, max(0, count - len(first))), sites, times)


def _evenly(places: Sequence[int], count: int) -> list[int]:
    return [places[len(places) - 1 - index * len(places) // count] for index in range(count)]


def random(budget: float, seed: int, gated: Sequence[int], sites: Sites, times: Sequence[float], costs: Costs) -> CachePlan:
    """Keep branches of the `gated` evaluations drawn at random."""
    scores = torch.rand((len(gated), len(sites)), generator=torch.Generator().manual_seed(seed))
    return _spent(scores, budget, gated, sites, times, costs, {"policy": "random", "seed": seed})


def top(budget: float, gated: Sequence[int], sites: Sites, times: Sequence[float], costs: Costs) -> CachePlan:
    """Reuse the last blocks: of every gated evaluation the same first ones are kept."""
    scores = -torch.arange(len(sites), dtype=torch.float32).expand(len(gated), -1)
    return _spent(scores, budget, gated, sites, times, costs, {"policy": "top"})


def bottom(budget: float, gated: Sequence[int], sites: Sites, times: Sequence[float], costs: Costs) -> CachePlan:
    """Reuse the first blocks: of every gated evaluation the same last ones are kept."""
    scores = torch.arange(len(sites), dtype=torch.float32).expand(len(gated), -1)
    return _spent(scores, budget, gated, sites, times, costs, {"policy": "bottom"})


def _spent(
    scores_GS: Tensor,
    budget: float,
    gated: Sequence[int],
    sites: Sites,
    times: Sequence[float],
    costs: Costs,
    provenance: Mapping[str, Any],
) -> CachePlan:
    keep = within_budget(scores_GS, len(times), sites, costs, budget).tolist()
    rows = [(True,) * len(sites)] * len(times)
    for evaluation, row in zip(gated, keep, strict=True):
        rows[evaluation] = tuple(row)
    return CachePlan(sites, tuple(times), tuple(rows), {**provenance, "budget": budget})


def similarity(changes_EAS: Tensor, threshold: float, sites: Sites, times: Sequence[float]) -> CachePlan:
    """Reuse a branch while its output, where it was measured, had changed by less than `threshold` since it was last computed.

    `changes_EAS[e, a, s]` is the relative change from evaluation e - 1 - a to e; further back nothing is reused (SmoothCache, Liu et
    al. 2024, per branch instead of per kind of layer).
    """
    rows: list[tuple[bool, ...]] = []
    last = [0] * len(sites)
    changes = changes_EAS.tolist()
    longest = changes_EAS.shape[1]
    for evaluation in range(len(times)):
        row = []
        for site in range(len(sites)):
            back = evaluation - last[site]
            compute = not 1 <= back <= longest or changes[evaluation][back - 1][site] >= threshold
            if compute:
                last[site] = evaluation
            row.append(compute)
        rows.append(tuple(row))
    return CachePlan(sites, tuple(times), tuple(rows), {"policy": "similarity", "threshold": threshold})


def similarity_within(changes_EAS: Tensor, budget: float, sites: Sites, times: Sequence[float], costs: Costs) -> CachePlan:
    """The similarity plan of the lowest threshold that spends at most `budget` of the run's multiply-adds."""
    thresholds = changes_EAS.flatten().unique(sorted=True).tolist()
    thresholds.append(float("inf"))
    low, high = 0, len(thresholds) - 1
    if _kept(similarity(changes_EAS, thresholds[high], sites, times), costs) > budget:
        least = _kept(similarity(changes_EAS, thresholds[high], sites, times), costs)
        raise ConfigError(f"a budget of {budget:g} cannot be met by reusing that short: at least {least:.3f} is computed")
    while low < high:
        middle = (low + high) // 2
        if _kept(similarity(changes_EAS, thresholds[middle], sites, times), costs) <= budget:
            high = middle
        else:
            low = middle + 1
    plan = similarity(changes_EAS, thresholds[high], sites, times)
    return CachePlan(plan.sites, plan.times, plan.compute, {**plan.provenance, "budget": budget})


def _kept(plan: CachePlan, costs: Costs) -> float:
    return 1 - trajectory_cost(costs, plan.evaluations, 1, plan).saved
