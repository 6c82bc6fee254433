"""A plan is fitted in one run of the samples, every evaluation once; its forecasts leave over no more than holding."""

from dataclasses import replace

import pytest
import torch

from ditkit.cache.forecast import HELD
from ditkit.cache.plan import CachePlan
from ditkit.cache.policies import every
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS, Solver
from ditkit.engine.fit import fitted
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.errors import RequestError
from ditkit.models.spec import Defaults, ModelSpec
from tests.models.tiny import tiny

EVALUATIONS = 6


def _model(family: str = "dit") -> Model:
    backbone = tiny(family).requires_grad_(False)
    spec = ModelSpec("tiny", family, backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", EVALUATIONS, 2.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _solver(name: str = "ddim") -> Solver:
    return SOLVERS[name](linear(), EVALUATIONS, **({"variance": "fixedsmall"} if name == "ddpm" else {}))


def _request(solver: Solver, **changes: object) -> SamplingRequest:
    return SamplingRequest(**({"labels": (0, 1, 2, 0), "seeds": (5, 6, 7, 8), "solver": solver, "guidance": 2.0} | changes))  # pyright: ignore


def _drafts(model: Model, solver: Solver) -> tuple[CachePlan, CachePlan]:
    """Branches, and whole evaluations."""
    plan = every(2, model.backbone.sites, solver.times)
    return plan, replace(plan, whole=dict.fromkeys(range(1, EVALUATIONS, 2), HELD))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("family", ["dit", "uvit"])
def test_everything_that_is_not_computed_gets_weights(family: str, solver: str) -> None:
    model, made = _model(family), _solver(solver)
    branches, whole = _drafts(model, made)
    request = _request(made)
    plan = fitted(model, request, branches, 2).plan
    assert {len(cell) for at, cell in plan.forecast.items() if at[0] > 2} == {2}
    assert not plan.whole and len(plan.forecast) == 3 * len(model.backbone.sites)
    plan = fitted(model, request, whole, 3).plan
    assert [len(cell) for cell in plan.whole.values()] == [1, 2, 3] and not plan.forecast
    assert torch.isfinite(sample_latents(model, replace(request, plan=plan), range(4))).all()


def test_calibrating_costs_no_more_than_sampling_the_samples_once() -> None:
    model, solver = _model(), _solver()
    rows: list[int] = []
    hook = model.backbone.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))  # pyright: ignore[reportAttributeAccessIssue]
    for draft in _drafts(model, solver):
        fitted(model, _request(solver, batch=3), draft, 2)
    hook.remove()
    assert sum(rows) == 2 * 2 * 4 * EVALUATIONS  # two plans; guidance's two halves; four samples


def test_forecasts_leave_over_no_more_than_holding_the_same_inputs_would() -> None:
    model, solver = _model(), _solver()
    for draft in _drafts(model, solver):
        orders = [fitted(model, _request(solver), draft, order) for order in (1, 2)]
        first = [min((found.branches or found.whole).items()) for found in orders]  # where both have seen the same inputs
        assert first[1][1] <= first[0][1] + 1e-9


def test_one_sample_is_too_few() -> None:
    model, solver = _model(), _solver()
    with pytest.raises(RequestError) as caught:
        fitted(model, _request(solver, labels=(0,), seeds=(5,)), _drafts(model, solver)[1], 2)
    assert str(caught.value) == "a plan is calibrated on at least 2 samples, not 1; raise cache.samples"
