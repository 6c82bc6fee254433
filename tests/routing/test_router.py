"""The router's numbers: parameters, shares of multiply-adds, decisions within a budget, and the plan."""

from dataclasses import replace

import pytest
import torch

from ditkit.cache.budget import kept_share, within_budget
from ditkit.cache.cost import trajectory_cost
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.errors import ConfigError
from ditkit.execution import Site
from ditkit.routing.gates import gates
from ditkit.routing.router import Router, above, site_weights, to_plan
from ditkit.training.optimizer import SLOW, build_optimizers
from tests.closeness import near, spread, tolerance

SITES = (Site(0, "attn"), Site(0, "mlp"), Site(1, "attn"), Site(1, "mlp"))
COSTS: dict[Site | str, int] = {**{site: 10 if site.branch == "attn" else 20 for site in SITES}, "rest": 4}
SOLVER = ddim(linear(), 6)
GATES = gates(SOLVER)


def test_a_router_has_a_score_per_gated_evaluation_and_site() -> None:
    router = Router(len(GATES), len(SITES))
    assert [parameter.shape for parameter in router.parameters()] == [(3, 4)]
    assert torch.equal(router.scores(), torch.full((3, 4), 0.5))
    published = Router(100, 56, start=None)
    assert published.logits.std().item() == near(1, within=spread(2 * 100 * 56))
    assert torch.equal(published.logits, Router(100, 56, start=None).logits)


@pytest.mark.parametrize("seed", range(3))
def test_the_kept_share_of_decisions_is_what_the_plan_costs(seed: int) -> None:
    keep = torch.rand((3, 4), generator=torch.Generator().manual_seed(seed)) > 0.5
    plan = to_plan(keep, GATES, SITES, SOLVER.times, {})
    assert float(kept_share(keep.float(), 6, SITES, COSTS)) == near(1 - trajectory_cost(COSTS, 6, 1, plan).saved, dtype=torch.float32)
    assert [plan.compute[gate.evaluation] for gate in GATES] == [tuple(row) for row in keep.tolist()]
    assert all(all(plan.compute[evaluation]) for evaluation in (0, 2, 4))


def test_weights_by_cost_sum_to_the_number_of_sites() -> None:
    weights = site_weights(SITES, COSTS)
    assert float(weights.sum()) == 4 and float(weights[1] / weights[0]) == 2


@pytest.mark.parametrize("budget", [0.55, 0.7, 0.83, 1.0])
def test_a_budget_is_met_and_used_up_by_the_highest_scores(budget: float) -> None:
    logits = torch.randn((3, 4), generator=torch.Generator().manual_seed(0))
    keep = within_budget(logits, 6, SITES, COSTS, budget)
    share = float(kept_share(keep.float(), 6, SITES, COSTS))
    assert budget - 20 / 384 < share <= budget + tolerance(budget, dtype=torch.float32)  # at most the dearest branch is left over
    if keep.any() and not keep.all():
        assert logits[keep].min() > logits[~keep].max()


def test_a_budget_below_what_is_never_gated_is_refused() -> None:
    with pytest.raises(ConfigError, match="a budget of 0.3 cannot be met: with these gates at least 0.531 is computed; raise the budget"):
        within_budget(torch.zeros(3, 4), 6, SITES, COSTS, 0.3)


def test_the_threshold_is_strict() -> None:
    assert above(torch.tensor([[0.1, 0.5, 0.9]]), 0.5).tolist() == [[False, False, True]]


def test_weights_are_learned_more_slowly_than_scores() -> None:
    router = Router(len(GATES), len(SITES), order=2)
    (optimizer,) = build_optimizers(router, "adamw", 0.1, (0.9, 0.999), 0.0)
    assert [(group["share"], *map(id, group["params"])) for group in optimizer.param_groups] == [
        (1.0, id(router.logits)),
        (SLOW, id(router.weights)),
    ]
    assert not list(Router(len(GATES), len(SITES)).slow.parameters())


def test_a_router_begins_with_a_plan_and_becomes_it_again() -> None:
    keep = torch.rand(len(GATES), len(SITES), generator=torch.Generator().manual_seed(2)) < 0.5
    held = to_plan(keep, GATES, SITES, SOLVER.times, {})
    cells = {(gate.evaluation, column): (1.5,) for row, gate in enumerate(GATES) for column in range(len(SITES)) if not keep[row, column]}
    plan = replace(held, forecast=cells)
    router = Router(len(GATES), len(SITES), order=2)
    router.begin_with(plan, GATES, 3.0)
    assert router.weights is not None and router.logits.abs().unique().tolist() == [3.0]
    assert to_plan(above(router.scores(), 0.5), GATES, SITES, SOLVER.times, {}, router.weights.detach()) == plan


def test_weights_of_outputs_that_are_not_there_go_to_the_oldest() -> None:
    keep = torch.zeros(len(GATES), len(SITES), dtype=torch.bool)
    weights = torch.tensor([1.5, -0.75, 0.25]).repeat(len(GATES), len(SITES), 1)
    plan = to_plan(keep, GATES, SITES, SOLVER.times, {}, weights)
    first = GATES[0].evaluation
    known = sum(plan.compute[evaluation][0] for evaluation in range(first))
    assert plan.cell(first, 0) == ((1.0,) if known == 1 else (1.5, -0.5))
