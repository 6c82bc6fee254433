"""Policies that learn nothing: what they keep, that they meet their budget, and what similarity reuses."""

import pytest
import torch

from ditkit.cache import policies
from ditkit.cache.cost import trajectory_cost
from ditkit.cache.plan import CachePlan
from ditkit.errors import ConfigError
from ditkit.execution import Site
from tests.closeness import tolerance

SITES = tuple(Site(block, branch) for block in range(3) for branch in ("attn", "mlp"))
COSTS: dict[Site | str, int] = {**{site: 10 if site.branch == "attn" else 20 for site in SITES}, "rest": 6}
TIMES = tuple(float(time) for time in range(7, -1, -1))
GATED = (1, 3, 5, 7)
INF = float("inf")


def _kept(plan: CachePlan) -> float:
    return 1 - trajectory_cost(COSTS, plan.evaluations, 1, plan).saved


def _made(name: str, budget: float) -> CachePlan:
    if name == "random":
        return policies.random(budget, 0, GATED, SITES, TIMES, COSTS)
    return getattr(policies, name)(budget, GATED, SITES, TIMES, COSTS)


@pytest.mark.parametrize("name", ["random", "top", "bottom"])
@pytest.mark.parametrize("budget", [0.6, 0.75, 0.9, 1.0])
def test_the_baselines_spend_their_budget_on_gated_evaluations(name: str, budget: float) -> None:
    plan = _made(name, budget)
    assert budget - 20 / (8 * 96) < _kept(plan) <= budget + tolerance(budget)
    assert all(all(row) for index, row in enumerate(plan.compute) if index not in GATED)


def test_top_reuses_the_last_blocks_and_bottom_the_first() -> None:
    for row in _made("top", 0.75).compute:
        assert list(row) == sorted(row, reverse=True)
    for row in _made("bottom", 0.75).compute:
        assert list(row) == sorted(row)


def test_another_seed_draws_other_branches() -> None:
    plans = [policies.random(0.75, seed, GATED, SITES, TIMES, COSTS) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]


def _changes(*per_evaluation: tuple[float, float]) -> torch.Tensor:
    """(E, 2, 1) for one site: the change since one and since two evaluations before."""
    return torch.tensor([[[near], [far]] for near, far in per_evaluation])


def test_an_output_is_reused_while_it_has_changed_little_since_it_was_computed() -> None:
    site, times = SITES[:1], TIMES[:5]
    changes = _changes((INF, INF), (0.1, INF), (0.1, 0.3), (0.1, 0.1), (0.1, 0.1))
    rows = [row[0] for row in policies.similarity(changes, 0.2, site, times).compute]
    assert rows == [True, False, True, False, False]  # at the third it had changed by 0.3 since the first
    assert [row[0] for row in policies.similarity(changes, 0.1, site, times).compute] == [True] * 5  # strictly less
    patient = [row[0] for row in policies.similarity(changes, 9.0, site, times).compute]
    assert patient == [True, False, False, True, False]  # never longer than was measured


@pytest.mark.parametrize("budget", [0.45, 0.6, 0.8])
def test_similarity_meets_a_budget_with_the_lowest_threshold_that_can(budget: float) -> None:
    changes = torch.rand(8, 3, 6, generator=torch.Generator().manual_seed(0))
    for evaluation in range(3):
        changes[evaluation, evaluation:] = INF
    plan = policies.similarity_within(changes, budget, SITES, TIMES, COSTS)
    assert budget - 0.12 < _kept(plan) <= budget
    threshold = plan.provenance["threshold"]
    lower = changes[changes < threshold].max()
    assert _kept(policies.similarity(changes, float(lower), SITES, TIMES)) > budget
    with pytest.raises(ConfigError, match="a budget of 0.1 cannot be met by reusing that short"):
        policies.similarity_within(changes, 0.1, SITES, TIMES, COSTS)


@pytest.mark.parametrize(("budget", "reusing"), [(1.0, []), (0.9, [3]), (0.5, [1, 2, 3])])
def test_spread_reuses_everything_at_evenly_spread_evaluations(budget: float, reusing: list[int]) -> None:
    plan = policies.spread(budget, SITES[:2], (4.0, 3.0, 2.0, 1.0), {SITES[0]: 6, SITES[1]: 6, "rest": 8})  # 0.15 saved by each
    assert [evaluation for evaluation, row in enumerate(plan.compute) if not any(row)] == reusing
    assert all(all(row) or not any(row) for row in plan.compute)
    with pytest.raises(ConfigError, match=r"a budget of 0.3 cannot be met: with the branches of one evaluation computed it is 0\.550"):
        policies.spread(0.3, SITES[:2], (4.0, 3.0, 2.0, 1.0), {SITES[0]: 6, SITES[1]: 6, "rest": 8})
