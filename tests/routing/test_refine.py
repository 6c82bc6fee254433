"""Refined weights end runs nearer to those without a plan."""

from dataclasses import replace

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
from ditkit.engine.trajectory import sample_latents
from ditkit.metrics.fidelity import relative_errors
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.routing.refine import refined
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
