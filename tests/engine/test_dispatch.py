"""What reaches the device, seen by dispatch modes: no value comes back, nothing is sent after the first step, reuse is nearly free."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ditkit.cache.execute import PlanRun
from ditkit.cache.plan import CachePlan
from ditkit.cache.policies import every
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS, Solver
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents, trajectory
from ditkit.models import registry
from ditkit.models.dit import DiTParams
from ditkit.models.spec import Defaults, ModelSpec, Params
from ditkit.models.uvit import UViTParams

FAMILIES: dict[str, Params] = {
    "dit": DiTParams(width=32, depth=12, heads=2, patch=2, input_size=8, classes=5),
    "uvit": UViTParams(width=32, depth=12, heads=2, patch=2, input_size=8, classes=5, null_class=True),
}
REUSE_AT = 3


class Dispatched(TorchDispatchMode):
    """Everything that is dispatched, with the devices it touches."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, set[str]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        touched = {leaf.device.type for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)}
        self.calls.append((str(func), touched))
        return out


def _model(family: str, device: str) -> Model:
    spec = ModelSpec("tiny", family, FAMILIES[family], "linear", "pixels", 8, 3, Defaults("ddim", 6, 2.0))
    return Model(spec, registry.build(spec).to(device), load_codec("pixels"), torch.device(device))


def _solver(name: str) -> Solver:
    return SOLVERS[name](linear(), 6, **({"variance": "fixedsmall"} if name == "ddpm" else {}))


def _request(model: Model, solver: Solver) -> SamplingRequest:
    """Guided, with a plan whose fourth evaluation reuses everything."""
    rows = tuple((evaluation != REUSE_AT,) * len(model.backbone.sites) for evaluation in range(6))
    plan = CachePlan(model.backbone.sites, tuple(solver.times), rows)
    return SamplingRequest((0, 1), (7, 8), solver, 2.0, plan=plan)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_value_is_ever_asked_of_the_device(family: str, solver: str) -> None:
    model = _model(family, "cpu")
    with FakeTensorMode(allow_non_fake_inputs=True):  # asking a fake tensor for its value raises
        latents = sample_latents(model, _request(model, _solver(solver)), range(2))
    assert latents.shape == (2, 4, 8, 8)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_sent_to_the_device_after_the_first_step(family: str, solver: str) -> None:
    model = _model(family, "meta")
    by_step = _dispatched_by_step(model, _request(model, _solver(solver)))
    for calls in by_step[1:]:
        assert {kind for _, touched in calls for kind in touched} == {"meta"}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_evaluation_that_reuses_everything_dispatches_a_quarter_of_the_operators(family: str) -> None:
    model = _model(family, "meta")
    full, reused = _evaluations(model)
    assert reused.total() <= full.total() / 4, f"{reused.total()} of {full.total()}"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reused_branch_costs_one_addition(family: str) -> None:
    model = _model(family, "meta")
    _, reused = _evaluations(model)
    additions = reused["aten.addcmul.default"] + reused["aten.add.Tensor"]
    assert len(model.backbone.sites) <= additions <= len(model.backbone.sites) + 3  # positions and the final layer's modulation


@pytest.mark.parametrize("weights", [(1.0,), (0.7,), (1.5, -0.5), (1.4, -0.5), (1.9, -1.1, 0.2)])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_forecast_launches_its_multiply_adds_and_the_step(family: str, weights: tuple[float, ...]) -> None:
    model = _model(family, "meta")
    solver = _solver("ddim")
    rows = tuple((evaluation != REUSE_AT,) * len(model.backbone.sites) for evaluation in range(6))
    plan = CachePlan(model.backbone.sites, tuple(solver.times), rows, whole={REUSE_AT: weights})
    forecast = _dispatched_by_step(model, SamplingRequest((0, 1), (7, 8), solver, 2.0, plan=plan))[REUSE_AT]

    def said(x: torch.Tensor, evaluation: int) -> Prediction:
        return Prediction(x)

    x = torch.zeros(2, *model.spec.sample_shape, device="meta")
    with torch.inference_mode(), Dispatched() as step:
        solver.step(said, x, REUSE_AT, None)
    multiply_adds = 0 if weights == (1.0,) else 1 if sum(weights) == 1 and len(weights) == 2 else len(weights)
    assert len(forecast) == len(step.calls) + multiply_adds


def _evaluations(model: Model) -> list[Counter[str]]:
    """What a full evaluation of the network dispatches, and one that reuses everything."""
    run = PlanRun(every(2, model.backbone.sites, (1.0, 0.0)))
    x = torch.zeros(2, *model.spec.sample_shape, device=model.device)
    counts = []
    with torch.inference_mode():
        conditioning = model.backbone.condition(torch.zeros(2, device=model.device), torch.zeros(2, dtype=torch.long, device=model.device))
        for evaluation in range(2):
            with Dispatched() as dispatched:
                model.backbone(x, conditioning, run.at(evaluation))
            counts.append(Counter(name for name, _ in dispatched.calls))
    return counts


def _dispatched_by_step(model: Model, request: SamplingRequest) -> list[list[tuple[str, set[str]]]]:
    solver = request.solver
    x = torch.zeros(2, *model.spec.sample_shape, device=model.device)
    noise = torch.zeros(solver.draws, 2, *model.spec.sample_shape, device=model.device) if solver.draws else None
    steps, seen = [], 0
    advance: Callable[[], Any] = trajectory(denoiser(model, request, request.labels), solver, x, solver.init(noise)).__next__
    with torch.inference_mode(), Dispatched() as dispatched:
        for _ in range(solver.steps):
            advance()
            steps.append(dispatched.calls[seen:])
            seen = len(dispatched.calls)
    return steps
