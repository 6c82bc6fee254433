"""Obey a plan: compute what it says, reuse the rest, and keep an output only as long as a later row needs it."""

from collections.abc import Callable

from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.execution import Execution, Site


class PlanRun:
    """The outputs kept during one run of a plan. Make a new one for every trajectory: two runs share nothing."""

    def __init__(self, plan: CachePlan) -> None:
        self._rows = [dict(zip(plan.sites, row, strict=True)) for row in plan.compute]
        self._kept: dict[Site, Tensor] = {}

    def at(self, evaluation: int) -> Execution:
        """How to run the network at this evaluation; evaluations must come in order."""
        computed = self._rows[evaluation]
        following = self._rows[evaluation + 1] if evaluation + 1 < len(self._rows) else {}

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            output = compute() if computed[site] else self._kept[site]
            if following.get(site, True):
                self._kept.pop(site, None)  # nobody needs it any more
            else:
                self._kept[site] = output
            return output

        return Execution(branch=branch)
