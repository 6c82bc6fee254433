"""The executor computes what the plan says, in order, and keeps an output no longer than a later row needs it."""

import gc
import weakref

import torch

from ditkit.cache.cost import trajectory_cost
from ditkit.cache.execute import PlanRun
from ditkit.cache.plan import CachePlan
from ditkit.cache.policies import every
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


def test_the_cost_counts_computed_sites_and_the_rest() -> None:
    costs: dict[Site | str, int] = {SITES[0]: 10, SITES[1]: 20, "rest": 1}
    cost = trajectory_cost(costs, 4, 2, every(2, SITES, TIMES))
    assert (cost.full, cost.planned) == (2 * 4 * 31, 2 * (4 * 1 + 2 * 30))
    assert trajectory_cost(costs, 4, 1).saved == 0
