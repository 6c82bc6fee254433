"""Refined weights end runs nearer to those without a plan, and responses say in advance how near."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch

from ditkit.cache.forecast import HELD
from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS
from ditkit.engine.fit import fitted
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample_latents
from ditkit.errors import ConfigError
from ditkit.metrics.fidelity import relative_errors
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.routing.refine import off, refined
from ditkit.routing.response import Response, responses
from ditkit.routing.search import best_choice, cheapest, judge
from tests.closeness import evaluated, near
from tests.models.tiny import tiny

EVALUATIONS = 6


@pytest.fixture(scope="module")
def model() -> Model:
    backbone = tiny("dit").requires_grad_(False)
    spec = ModelSpec("tiny", "dit", backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", EVALUATIONS, 2.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _request(solver: str = "ddim", batch: int = 4) -> SamplingRequest:
    return SamplingRequest((0, 1, 2, 0), (5, 6, 7, 8), SOLVERS[solver](linear(), EVALUATIONS), 2.0, batch=batch)


def _plan(model: Model, request: SamplingRequest, *whole: int) -> CachePlan:
    rows = tuple((evaluation not in whole,) * len(model.backbone.sites) for evaluation in range(EVALUATIONS))
    return CachePlan(model.backbone.sites, request.solver.times, rows, whole=dict.fromkeys(whole, HELD))


@pytest.mark.parametrize("solver", ["ddim", "dpm-solver-2", "dpm-solver++"])
@pytest.mark.parametrize("batch", [4, 3])
def test_refining_brings_the_ends_nearer_and_says_how_near(model: Model, solver: str, batch: int) -> None:
    request = _request(solver, batch)
    truths = [sample_latents(model, request, each) for each in request.batches()]
    start = fitted(model, request, _plan(model, request, 2, 4), 2).plan
    said: list[float] = []
    plan = refined(model, request, start, truths, 2, on_error=said.append)
    ends = [sample_latents(model, replace(request, plan=plan), each) for each in request.batches()]
    errors = torch.cat([relative_errors(end, truth) for end, truth in zip(ends, truths, strict=True)])
    assert said[-1] == near(float(errors.mean()), evaluated(model.backbone, EVALUATIONS, 2.0), torch.float32, size=1.0)
    assert said == sorted(said, reverse=True) and len(said) >= 2
    assert plan.compute == start.compute and all(sum(cell) == near(1) for cell in plan.whole.values())


def test_a_plan_without_whole_forecasts_has_nothing_to_refine(model: Model) -> None:
    request = _request()
    plan = _plan(model, request)
    truths = [sample_latents(model, request, range(4))]
    assert refined(model, request, plan, truths, 2) == plan


@pytest.mark.parametrize("solver", ["ddim", "dpm-solver-2"])
def test_a_response_is_what_one_forecast_evaluation_does_to_the_end(model: Model, solver: str) -> None:
    request = _request(solver)
    response = responses(model, request, 2)
    truth = sample_latents(model, request, range(4))
    roundings = evaluated(model.backbone, EVALUATIONS, 2.0)
    assert [len(products) for products in response.products] == [0, 1, 2, 2, 2, 2] and response.window == 2
    for evaluation in (1, 3, 5):
        moved = off(sample_latents(model, replace(request, plan=_plan(model, request, evaluation)), range(4)), truth).flatten()
        found = float(response.products[evaluation][0, 0]) ** 0.5
        assert found == near(float((moved @ moved / 4).sqrt()), roundings, torch.float32, size=1.0)
        assert judge(response, 1)(frozenset({evaluation})) == near(found)


def _synthetic(evaluations: int, window: int) -> tuple[Response, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    moves = [torch.randn(min(e, window), 60, generator=generator, dtype=torch.float64) for e in range(evaluations)]
    return Response(tuple(each @ each.T for each in moves)), moves


def test_a_forecast_is_judged_by_the_least_squares_of_weights_that_add_up_to_one() -> None:
    response, moves = _synthetic(6, 4)
    newest, _, before, earlier = moves[5]  # of evaluations 4, 3, 2 and 1, where 3 is forecast too
    basis = torch.stack([before - newest, earlier - newest], 1)
    least = float((newest + basis @ torch.linalg.lstsq(basis, -newest[:, None]).solution[:, 0]).norm())
    held = judge(response, 3)(frozenset({3}))
    found = (judge(response, 3)(frozenset({3, 5})) ** 2 - held**2) ** 0.5
    assert least - 1e-9 <= found <= 1.01 * least  # the ridge is a hundredth


def test_the_search_finds_the_best_of_all_choices() -> None:
    response, _ = _synthetic(7, 4)
    best, error = best_choice(response, 2, 2)
    assert error == near(min(judge(response, 2)(frozenset(each)) for each in combinations(range(1, 7), 2)))
    assert error == judge(response, 2)(best)


def test_what_has_nothing_near_to_be_forecast_from_is_no_choice() -> None:
    response, _ = _synthetic(7, 2)
    assert judge(response, 2)(frozenset({3, 4, 5})) == float("inf")
    with pytest.raises(ConfigError, match="6 of 7 evaluations cannot be forecast from the 2 before them"):
        best_choice(response, 6, 2)
    with pytest.raises(ConfigError, match="from 1 to 6 of 7 evaluations can be forecast, not 7"):
        best_choice(response, 7, 2)


def test_an_error_buys_as_many_forecasts_as_stay_within_it() -> None:
    response, _ = _synthetic(7, 4)
    most = best_choice(response, 2, 2)[1]
    assert len(cheapest(response, most, 2)) >= 2
    assert cheapest(response, 0.0, 2) == frozenset()
