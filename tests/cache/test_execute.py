"""The executor computes what the plan says, in order, and keeps an output no longer than a later row needs it."""

import gc
import weakref
from collections.abc import Sequence

import pytest
import torch

from ditkit.cache.cost import Kept, most_kept, trajectory_cost
from ditkit.cache.execute import PlanRun
from ditkit.cache.forecast import HELD, Cell, forecast
from ditkit.cache.plan import CachePlan
from ditkit.cache.policies import every
from ditkit.engine.dispatched import Dispatched
from ditkit.execution import Site

SITES = (Site(0, "attn"), Site(0, "mlp"))
TIMES = (3.0, 2.0, 1.0, 0.0)


def _plan(*rows: str) -> CachePlan:
    return CachePlan(SITES, TIMES[: len(rows)], tuple(tuple(cell == "1" for cell in row) for row in rows))


def test_a_reused_branch_returns_the_last_computed_output() -> None:
    run = PlanRun(_plan("11", "01", "00", "10"))
    outputs = [[run.at(e).branch(site, lambda e=e: torch.tensor(float(e))).item() for site in SITES] for e in range(4)]
    assert outputs == [[0, 0], [0, 1], [0, 1], [3, 1]]


def test_an_output_is_freed_after_its_last_use() -> None:
    run = PlanRun(_plan("11", "10", "11"))
    kept: list[weakref.ref[torch.Tensor]] = []
    for evaluation in range(3):
        for site in SITES:
            output = run.at(evaluation).branch(site, lambda: torch.zeros(3))
            kept.append(weakref.ref(output))
            del output
        gc.collect()
        alive = [reference() is not None for reference in kept]
        assert alive[:2] == [[False, True], [False, False], [False, False]][evaluation]


def test_two_runs_of_one_plan_share_nothing() -> None:
    plan = _plan("11", "00")
    first, second = PlanRun(plan), PlanRun(plan)
    for run, value in ((first, 1.0), (second, 2.0)):
        run.at(0).branch(SITES[0], lambda value=value: torch.tensor(value))
    assert first.at(1).branch(SITES[0], lambda: torch.tensor(0.0)).item() == 1


def test_a_forecast_branch_and_a_forecast_network_say_what_their_weights_say() -> None:
    plan = CachePlan(
        SITES, TIMES, ((True, True), (True, True), (False, True), (False, False)), forecast={(2, 0): (2.0, -1.0)}, whole={3: (0.5,)}
    )
    run = PlanRun(plan)
    said = []
    for evaluation in range(4):

        def network(evaluation: int = evaluation) -> torch.Tensor:
            return torch.stack([run.at(evaluation).branch(site, lambda: torch.tensor(float(evaluation))) for site in SITES])

        said.append(run.network(evaluation, network).tolist())
    assert said == [[0, 0], [1, 1], [2, 2], [1, 1]]


def _launches(cells: Sequence[Cell]) -> int:
    """How many operators it takes to forecast six branches by these cells; they say the same as each by itself."""
    sites = tuple(Site(block, branch) for block in range(3) for branch in ("attn", "mlp"))
    rows = ((True,) * 6,) * 3 + ((False,) * 6,)
    run = PlanRun(CachePlan(sites, TIMES, rows, forecast={(3, column): cell for column, cell in enumerate(cells)}))
    draws = torch.randn(3, 6, 2, 5, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), Dispatched() as seen:
        for evaluation in range(3):
            branch = run.at(evaluation).branch
            for column, site in enumerate(sites):
                branch(site, lambda at=(evaluation, column): draws[at])
        branch = run.at(3).branch
        said = [branch(site, lambda: draws[0, 0]) for site in sites]
    assert all(torch.equal(each, forecast(cells[column], draws[:3, column].flip(0).unbind())) for column, each in enumerate(said))
    return seen.launches


@pytest.mark.parametrize(
    ("cell", "launches"), [((1.8, -0.8), 1), ((1.7, -0.6), 2), ((1.9, -0.9, 0.2), 2), ((1.9, -1.1, 0.2), 3), ((1.0,), 0)]
)
def test_branches_that_follow_each_other_are_forecast_in_one_launch_bit_for_bit(cell: Cell, launches: int) -> None:
    assert _launches([cell] * 6) == launches


def test_only_equal_weights_are_applied_together() -> None:
    one, other = (1.8, -0.8), (1.5, -0.5)
    assert _launches([one, one, other, one, one, one]) == 3
    assert _launches([one, other] * 3) == 6
    assert _launches([one, one, HELD, HELD, one, one]) == 2


def test_an_evaluation_that_is_forecast_as_a_whole_costs_nothing() -> None:
    costs: dict[Site | str, int] = {SITES[0]: 10, SITES[1]: 20, "rest": 1}
    plan = CachePlan(SITES, TIMES, ((True, True), (True, False), (False, False), (True, True)), whole={2: (2.0,)})
    assert trajectory_cost(costs, 4, 1, plan).planned == 31 + 11 + 31
    assert most_kept(plan) == Kept(branches=1, network=1)


def test_the_outputs_that_are_kept_are_counted_where_most_are() -> None:
    rows = ((True, True), (True, True), (False, True), (True, False))
    assert most_kept(CachePlan(SITES, TIMES, rows, forecast={(2, 0): (2.0, -1.0)})) == Kept(branches=2)
    assert most_kept(CachePlan(SITES, TIMES, rows, forecast={(3, 1): (1.0, 1.0, -1.0)})) == Kept(branches=3)
    assert most_kept(None) == Kept()


def test_the_cost_counts_computed_sites_and_the_rest() -> None:
    costs: dict[Site | str, int] = {SITES[0]: 10, SITES[1]: 20, "rest": 1}
    cost = trajectory_cost(costs, 4, 2, every(2, SITES, TIMES))
    assert (cost.full, cost.planned) == (2 * 4 * 31, 2 * (4 * 1 + 2 * 30))
    assert trajectory_cost(costs, 4, 1).saved == 0
