"""What a run costs and what a plan saves, from the multiply-adds a backbone declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ditkit.cache.forecast import remembered
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
    return Cost(rows * ((evaluations - len(plan.whole)) * outside + computed), rows * full)


class Kept(NamedTuple):
    """How many outputs of branches, and of the network as a whole, are kept from one evaluation to the next."""

    branches: int = 0
    network: int = 0


def most_kept(plan: CachePlan | None) -> Kept:
    """The most of either that are kept at once."""
    if plan is None:
        return Kept()
    columns = [remembered(plan.column(column)) for column in range(len(plan.sites))]
    return Kept(max(map(sum, zip(*columns, strict=True)), default=0), max(remembered(plan.network_column), default=0))
