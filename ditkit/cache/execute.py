"""Obey a plan: compute what it says, forecast the rest, and keep an output only as long as a later row needs it."""

from collections.abc import Callable, Mapping

from torch import Tensor

from ditkit.cache.forecast import Place, forecasts, stretches
from ditkit.cache.plan import CachePlan
from ditkit.execution import Execution, Site

Outputs = Mapping[Site | None, tuple[Tensor, ...]]
"""The last outputs of every site, and under None of the network as a whole, newest first."""


class PlanRun:
    """The outputs kept during one run of a plan. Make a new one for every trajectory: two runs share nothing.

    `network(evaluation, compute)` is the network's output, calling `compute` unless the evaluation is forecast as a whole.
    """

    def __init__(self, plan: CachePlan, outputs: Outputs | None = None) -> None:
        """`outputs` are those of another run of the plan, to go on from where it was."""
        known = outputs or {}
        self._plan = plan
        self._places = {site: Place(plan.column(column), known.get(site, ())) for column, site in enumerate(plan.sites)}
        self.network = Place(plan.network_column, known.get(None, ()))

    def at(self, evaluation: int) -> Execution:
        """How to run the network at this evaluation; evaluations must come in order.

        Branches that follow each other and are forecast by the same weights are forecast together, when the first of them is come by.
        """
        sites, row = self._plan.sites, [self._plan.cell(evaluation, column) for column in range(len(self._plan.sites))]
        together = {sites[stretch.columns[0]]: stretch for stretch in stretches(row)}
        made: dict[Site, Tensor] = {}

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            if stretch := together.get(site):
                mine = [sites[column] for column in stretch.columns]
                made.update(zip(mine, forecasts(stretch.cell, [self._places[each].outputs for each in mine]), strict=True))
            return self._places[site](evaluation, compute, made.pop(site, None))

        return Execution(branch=branch)

    def outputs(self) -> Outputs:
        """What is kept now."""
        return {None: self.network.outputs} | {site: place.outputs for site, place in self._places.items()}
