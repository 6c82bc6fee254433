"""What holds for every family, because whoever runs a model relies on it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ditkit.cache.execute import PlanRun
from ditkit.cache.plan import CachePlan
from ditkit.cache.policies import everything
from ditkit.execution import PLAIN, Execution, Site
from tests.closeness import assert_close, evaluated
from tests.models.tiny import FAMILIES, inputs, rows, tiny

TIMES = (900.0, 600.0, 300.0, 100.0, 0.0)


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny(request.param)


def random_plan(model: Any, seed: int = 0) -> CachePlan:
    rows = torch.rand(len(TIMES), len(model.sites), generator=torch.Generator().manual_seed(seed)) < 0.5
    rows[0] = True
    return CachePlan(model.sites, TIMES, tuple(tuple(row) for row in rows.tolist()))


@torch.no_grad()
def run(model: Any, execution_at: Callable[[int], Execution]) -> list[Tensor]:
    """The outputs of one trajectory: each evaluation's input is the one before moved by its output."""
    x, _, y = inputs(model)
    outputs = []
    for index, time in enumerate(TIMES):
        out = model(x, model.condition(torch.full((len(x),), time), y), execution_at(index))
        outputs.append(out)
        x = x - 0.1 * out[:, : x.shape[1]]
    return outputs


def assert_same_bits(outputs: list[Tensor], expected: list[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))


def test_a_call_visits_its_sites_in_their_order(model: Any) -> None:
    visited: list[Site] = []

    def note(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        visited.append(site)
        return compute()

    x, t, y = inputs(model)
    model(x, model.condition(t, y), Execution(branch=note))
    assert tuple(visited) == model.sites
    assert len(set(visited)) == len(visited)


def test_every_site_asks_the_execution_for_attention_where_it_has_any(model: Any) -> None:
    asked: list[Site] = []

    def attend(site: Site, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        asked.append(site)
        return PLAIN.attend(site, q, k, v, bias)

    x, t, y = inputs(model)
    model(x, model.condition(t, y), Execution(attend=attend))
    assert asked == [site for site in model.sites if site.branch != "mlp"]


def test_recomputing_a_branch_changes_no_gradient(model: Any) -> None:
    def recompute(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        out = checkpoint(compute, use_reentrant=False)
        assert isinstance(out, Tensor)
        return out

    def gradients(execution: Execution) -> list[Tensor]:
        x, t, y = inputs(model)
        model.zero_grad()
        model(x, model.condition(t, y), execution).square().sum().backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    assert_same_bits(gradients(Execution(branch=recompute)), gradients(PLAIN))


def test_a_plan_that_computes_everything_changes_nothing(model: Any) -> None:
    plan = PlanRun(everything(model.sites, TIMES))
    assert_same_bits(run(model, plan.at), run(model, lambda _: PLAIN))


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_gives_what_a_plain_table_of_outputs_gives(model: Any, seed: int) -> None:
    plan = random_plan(model, seed)
    outputs: dict[Site, Tensor] = {}

    def at(index: int) -> Execution:
        computed = dict(zip(plan.sites, plan.compute[index], strict=True))

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            if computed[site]:
                outputs[site] = compute()
            return outputs[site]

        return Execution(branch=branch)

    assert_same_bits(run(model, PlanRun(plan).at), run(model, at))


def test_forecasts_of_weights_1_0_0_hold_bit_for_bit(model: Any) -> None:
    plan = random_plan(model)
    held = {(e, s): (1.0, 0.0, 0.0) for e, row in enumerate(plan.compute) for s, computed in enumerate(row) if not computed}
    assert_same_bits(run(model, PlanRun(replace(plan, forecast=held)).at), run(model, PlanRun(plan).at))


def test_a_forecast_gives_what_a_plain_table_of_outputs_gives(model: Any) -> None:
    plan = random_plan(model)
    columns = range(len(model.sites))
    computed = {(e, s): sum(plan.compute[before][s] for before in range(e)) for e in range(len(TIMES)) for s in columns}
    cells = {at: (1.5, -0.75, 0.25)[: min(3, before)] for at, before in computed.items() if not plan.compute[at[0]][at[1]]}
    outputs: dict[Site, list[Tensor]] = {site: [] for site in model.sites}

    def at(index: int) -> Execution:
        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            column = model.sites.index(site)
            if plan.compute[index][column]:
                outputs[site].insert(0, compute())
                return outputs[site][0]
            return sum(weight * output for weight, output in zip(cells[index, column], outputs[site], strict=False))  # pyright: ignore[reportReturnType]

        return Execution(branch=branch)

    for made, expected in zip(run(model, PlanRun(replace(plan, forecast=cells)).at), run(model, at), strict=True):
        assert_close(made, expected, evaluated(model, len(TIMES)))


def test_reusing_a_branch_changes_the_result(model: Any) -> None:
    cached, plain = run(model, PlanRun(random_plan(model)).at), run(model, lambda _: PLAIN)
    assert torch.equal(cached[0], plain[0])
    assert not torch.equal(cached[-1], plain[-1])


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch(model: Any) -> None:
    x, t, y = inputs(model)
    together = model(x, model.condition(t, y))
    alone = torch.cat([model(x[i : i + 1], model.condition(t[i : i + 1], rows(y, slice(i, i + 1)))) for i in range(len(x))])
    assert_close(together, alone, evaluated(model))


def test_every_site_and_the_rest_have_a_cost(model: Any) -> None:
    costs = model.multiply_adds()
    assert set(costs) == {*model.sites, "rest"}
    assert min(costs.values()) > 0
