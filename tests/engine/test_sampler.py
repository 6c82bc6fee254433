"""The sampling loop's promises: samples never depend on their batch, plans that compute everything change nothing."""

import copy
from dataclasses import replace

import pytest
import torch

from ditkit.cache.plan import CachePlan
from ditkit.cache.policies import every, everything
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.guidance import GuidanceInterval
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS, Solver
from ditkit.engine import conditioning
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.engine.trajectory import sample_latents, trajectory
from ditkit.errors import PlanMismatch, RequestError
from ditkit.models import registry
from ditkit.models.dit import DiTParams
from ditkit.models.spec import Defaults, ModelSpec, Params
from ditkit.models.uvit import UViT, UViTParams
from tests.closeness import assert_close, close, evaluated

FAMILIES: dict[str, Params] = {
    "dit": DiTParams(width=32, depth=3, heads=2, patch=2, input_size=8, classes=5),
    "uvit": UViTParams(width=32, depth=2, heads=2, patch=2, input_size=8, classes=5, null_class=True, conv=False),
}


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    """A tiny network of each family, every parameter random, so that nothing is zero."""
    spec = ModelSpec("tiny", request.param, FAMILIES[request.param], "linear", "pixels", 8, 3, Defaults("ddim", 6, 2.0))
    torch.manual_seed(0)
    backbone = registry.build(spec).eval().requires_grad_(False)
    for value in backbone.parameters():
        value.normal_(std=0.2 if value.ndim > 1 else 0.1)
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _solver(name: str, evaluations: int = 6) -> Solver:
    options = {"variance": "fixedsmall"} if name == "ddpm" else {}
    return SOLVERS[name](linear(), evaluations, **options)


def _request(solver: Solver, **changes: object) -> SamplingRequest:
    values = {"labels": (0, 1, 2, 3, 0), "seeds": (7, 8, 9, 10, 11), "solver": solver, "guidance": 2.0, "batch": 5, **changes}
    return SamplingRequest(**values)  # pyright: ignore[reportArgumentType]


def _latents(model: Model, request: SamplingRequest) -> torch.Tensor:
    return torch.cat([batch.latents for batch in sample(model, request)])


def _roundings(model: Model) -> float:
    return evaluated(model.backbone, 6, 2.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_sample_does_not_depend_on_its_batch(model: Model, solver: str) -> None:
    whole = _latents(model, _request(_solver(solver)))
    for batch in (1, 2, 3):
        assert_close(_latents(model, _request(_solver(solver), batch=batch)), whole, _roundings(model))


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_request_gives_the_same_bits(model: Model, solver: str) -> None:
    request = _request(_solver(solver), batch=2)
    assert torch.equal(_latents(model, request), _latents(model, request))


@pytest.mark.parametrize("evaluations", [5, 6])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_plan_that_computes_everything_changes_no_bit(model: Model, solver: str, evaluations: int) -> None:
    chosen = _solver(solver, evaluations)
    plan = everything(model.backbone.sites, chosen.times)
    assert torch.equal(_latents(model, _request(chosen, plan=plan)), _latents(model, _request(chosen)))


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_plan_that_reuses_changes_the_result(model: Model, solver: str) -> None:
    chosen = _solver(solver)
    plan = every(2, model.backbone.sites, chosen.times)
    assert not close(_latents(model, _request(chosen, plan=plan)), _latents(model, _request(chosen)), _roundings(model))


@pytest.mark.parametrize("evaluations", [5, 6])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_whole_evaluation_of_weights_1_0_0_holds_what_the_network_said(model: Model, solver: str, evaluations: int) -> None:
    """By hand: what the denoiser said an evaluation before, guided, in place of the network; with noise on the way v."""
    request = _request(_solver(solver, evaluations), guidance=2.0)
    sites, times = model.backbone.sites, request.solver.times
    rows = tuple((evaluation not in (2, 4),) * len(sites) for evaluation in range(evaluations))
    plan = CachePlan(sites, times, rows, whole={2: (1.0, 0.0, 0.0), 4: (1.0,)})
    noise = SampleNoise(request.seeds).draw(1 + request.solver.draws, model.spec.sample_shape)
    denoise, said = denoiser(model, request, request.labels), {}

    def held(x: torch.Tensor, evaluation: int) -> Prediction:
        said[evaluation] = said[evaluation - 1] if evaluation in (2, 4) else answer(x, evaluation)
        return said[evaluation]

    def answer(x: torch.Tensor, evaluation: int) -> Prediction:
        level, heard = request.solver.levels[evaluation], denoise(x, evaluation)
        if not request.solver.draws or not request.solver.levels[0].alpha:
            return heard
        return replace(heard, value=heard.to_v(x, level), kind="v")

    state = request.solver.init(noise[1:] if request.solver.draws else None)
    with torch.inference_mode():
        *_, expected = trajectory(held, request.solver, noise[0], state)
    assert torch.equal(_latents(model, replace(request, plan=plan)), expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_forecast_run_does_not_depend_on_its_batch(model: Model, solver: str) -> None:
    made = _solver(solver)
    rows = tuple((evaluation != 3,) * len(model.backbone.sites) for evaluation in range(6))
    request = _request(made, plan=CachePlan(model.backbone.sites, made.times, rows, whole={3: (1.8, -0.9, 0.1)}))
    whole = _latents(model, request)
    assert_close(_latents(model, replace(request, batch=2)), whole, _roundings(model))


def test_an_evaluation_forecast_as_a_whole_does_not_call_the_network_and_is_counted_as_progress(model: Model) -> None:
    made = _solver("ddim")
    sites = model.backbone.sites
    rows = tuple((evaluation not in (2, 5),) * len(sites) for evaluation in range(6))
    request = _request(made, plan=CachePlan(sites, made.times, rows, whole={2: (1.5, -0.5), 5: (1.0,)}))
    calls, steps = [], []
    hook = model.backbone.register_forward_hook(lambda *_: calls.append(1))  # pyright: ignore[reportAttributeAccessIssue]
    sample_latents(model, request, range(5), steps.append)
    hook.remove()
    assert len(calls) == 4 and sum(steps) == 6 * 5


def test_guidance_that_is_off_now_and_then_and_half_precision_are_forecast_alike(model: Model) -> None:
    made = _solver("ddim")
    sites = model.backbone.sites
    rows = tuple((evaluation != 3,) * len(sites) for evaluation in range(6))
    plan = CachePlan(sites, made.times, rows, whole={3: (1.5, -0.5)})
    half = replace(model, backbone=copy.deepcopy(model.backbone).to(torch.bfloat16), dtype=torch.bfloat16)  # pyright: ignore[reportAttributeAccessIssue]
    inside = GuidanceInterval(made.times[1], 1000.0)  # evaluation 2 is not guided, nor is 3
    latents = [_latents(each, _request(made, plan=plan, interval=inside)) for each in (model, half)]
    assert torch.isfinite(latents[1]).all()
    assert float((latents[1] - latents[0]).norm() / latents[0].norm()) < 0.2


def test_guidance_of_one_is_the_plain_conditional_model(model: Model) -> None:
    solver = _solver("ddim")
    nearly = _latents(model, _request(solver, guidance=1.0 + 1e-7))
    assert_close(_latents(model, _request(solver, guidance=1.0)), nearly, _roundings(model))


def test_outside_its_interval_guidance_is_off_with_or_without_a_plan(model: Model) -> None:
    solver = _solver("ddim")
    nowhere = GuidanceInterval(2000.0, 3000.0)
    plain = _latents(model, _request(solver, guidance=1.0))
    assert torch.equal(_latents(model, _request(solver, guidance=5.0, interval=nowhere)), plain)
    plan = everything(model.backbone.sites, solver.times)
    assert_close(_latents(model, _request(solver, guidance=5.0, interval=nowhere, plan=plan)), plain, _roundings(model))


def test_time_and_labels_enter_the_network_once_for_the_whole_run(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[int] = []
    condition = model.backbone.condition
    monkeypatch.setattr(model.backbone, "condition", lambda t, y: (pairs.append(len(t) * y.shape[1]), condition(t, y))[1])
    sample_latents(model, _request(_solver("ddim", 6)), range(5))
    assert pairs == [1 * 5, 6 * 5]  # one row to measure its size, then six evaluations of four labels and the null label


def test_conditioning_in_pieces_equals_conditioning_at_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    request = _request(_solver("ddim"))
    whole = _latents(model, request)
    monkeypatch.setattr(conditioning, "PIECE_BYTES", 1)
    assert_close(_latents(model, request), whole, _roundings(model))


def test_a_batch_that_does_not_fit_is_halved_and_says_so(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    request = _request(_solver("ddim"))
    whole = _latents(model, request)
    condition = model.backbone.null

    decode = model.codec.decode

    def decode_two_at_most(latents: torch.Tensor) -> torch.Tensor:
        if len(latents) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return decode(latents)

    assert condition is not None
    monkeypatch.setattr(type(model.codec), "decode", lambda self, latents: decode_two_at_most(latents))
    (batch,) = sample(model, request)
    assert batch.indices == (0, 1, 2, 3, 4)
    assert batch.halved == 2
    assert_close(batch.latents, whole, _roundings(model))


def test_other_errors_are_not_taken_for_lack_of_memory(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, latents: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("something else")

    monkeypatch.setattr(type(model.codec), "decode", broken)
    with pytest.raises(RuntimeError, match="something else"):
        list(sample(model, _request(_solver("ddim"))))


def test_requests_that_cannot_be_are_refused_in_words(model: Model) -> None:
    solver = _solver("ddim")
    with pytest.raises(RequestError, match="tiny has classes 0 to 4, not 5"):
        list(sample(model, _request(solver, labels=(0, 1, 2, 3, 5))))
    with pytest.raises(RequestError, match="5 labels but 1 seeds"):
        _request(solver, seeds=(0,))
    with pytest.raises(RequestError, match="guidance must be a finite number, not nan"):
        _request(solver, guidance=float("nan"))
    other = _solver("ddim", 4)
    with pytest.raises(PlanMismatch, match="the plan covers 4 evaluations, this run makes 6; use --steps 4 or another plan"):
        list(sample(model, _request(solver, plan=every(2, model.backbone.sites, other.times))))


def test_a_network_without_a_null_label_samples_unguided() -> None:
    params = UViTParams(width=32, depth=2, heads=2, patch=2, input_size=8, channels=3, classes=5, null_class=False)
    spec = ModelSpec("tiny", "uvit", params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 1.0))
    model = Model(spec, UViT(params).eval(), load_codec("pixels"), torch.device("cpu"))
    assert _latents(model, _request(_solver("ddim", 2), guidance=1.0)).shape == (5, 3, 8, 8)
    with pytest.raises(RequestError, match="tiny was trained without a null class and cannot be guided; use --guidance 1"):
        list(sample(model, _request(_solver("ddim", 2))))
