"""What a run costs and what a plan saves, from the multiply-adds a backbone declares."""

from collections.abc import Mapping
from dataclasses import dataclass

from ditkit.cache.plan import CachePlan
from ditkit.execution import Site


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one sample's whole trajectory, guidance included: as planned and without a plan."""

    planned: int
    full: int

    @property
    def saved(self) -> float:
        return 1 - self.planned / self.full if self.full else 0.0


def trajectory_cost(site_costs: Mapping[Site | str, int], evaluations: int, rows: int, plan: CachePlan | None = None) -> Cost:
    """`rows` is how many rows of the network's batch one sample takes: 2 with guidance, else 1."""
    full = evaluations * sum(site_costs.values())
    if plan is None:
        return Cost(rows * full, rows * full)
    outside = sum(cost for place, cost in site_costs.items() if place not in plan.sites)
    computed = sum(site_costs[site] for row in plan.compute for site, cell in zip(plan.sites, row, strict=True) if cell)
    return Cost(rows * (evaluations * outside + computed), rows * full)


def most_kept(plan: CachePlan | None) -> int:
    """The most outputs that are kept at once from one evaluation to the next."""
    return max((sum(not cell for cell in row) for row in plan.compute), default=0) if plan else 0
