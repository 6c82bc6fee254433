"""The engine reproduces the published samplers on the golden networks, step by step."""

from typing import Any

import pytest
import torch

from ditkit.cache.imports import plan_from_router
from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import Solver, ddim, ddpm, dpm_solver_2, dpm_solver_pp
from ditkit.engine.conditions import PromptTable
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents, trajectory
from ditkit.models import pixart_layout
from ditkit.models.checkpoints import load_into
from ditkit.models.dit import DiT, DiTParams
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.prompts import Prompts
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.models.uvit import UViT, UViTParams
from tests.closeness import assert_close, evaluated
from tests.golden_files import golden

DIT = DiTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10)
PIXART = PixArtParams(width=64, depth=4, heads=4, patch=2, input_size=16, caption_width=32, caption_tokens=8)
UVIT = UViTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10, null_class=True, conv=False)


def _model(params: DiTParams | UViTParams, tensors: dict[str, torch.Tensor]) -> Model:
    backbone = (DiT(params) if isinstance(params, DiTParams) else UViT(params)).eval()
    backbone.load_state_dict({name[3:]: value for name, value in tensors.items() if name.startswith("sd.")})
    guided = 3 if isinstance(params, DiTParams) else 4
    spec = ModelSpec("tiny", "dit", params, "linear", "pixels", 8, guided, Defaults("ddim", 20, 4.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _states(
    model: Model,
    labels: torch.Tensor,
    solver: Solver,
    x: torch.Tensor,
    state: torch.Tensor | None,
    guidance: float,
    plan: CachePlan | None = None,
) -> torch.Tensor:
    request = SamplingRequest(tuple(labels.tolist()), (0,) * len(labels), solver, guidance, plan=plan)
    with torch.inference_mode():
        return torch.stack(list(trajectory(denoiser(model, request, request.labels), solver, x, solver.init(state))))


def test_twenty_ddim_steps_with_guidance_match_dit() -> None:
    tensors = golden("dit_ddim20")
    model = _model(DIT, tensors)
    states = _states(model, tensors["in.y"], ddim(linear(), 20), tensors["in.noise"], None, 4.0)
    assert_close(states, tensors["out.x_steps"][:, :2], evaluated(model.backbone, 20, 4.0, foreign=True))


def test_ten_ancestral_steps_with_learned_variance_match_dit() -> None:
    tensors = golden("dit_ddpm10")
    noise = tensors["in.step_noise"][:9, :2]
    model = _model(DIT, tensors)
    states = _states(model, tensors["in.y"], ddpm(linear(), 10), tensors["in.noise"], noise, 4.0)
    assert_close(states, tensors["out.x_steps"][:, :2], evaluated(model.backbone, 10, 4.0, foreign=True))


def test_twenty_evaluations_of_dpm_solver_2_match_uvit() -> None:
    tensors = golden("uvit_dpm20")
    model = _model(UVIT, tensors)
    states = _states(model, tensors["in.y"], dpm_solver_2(scaled_linear(), 20), tensors["in.noise"], None, 1.4)
    assert_close(states, tensors["out.x_steps"], evaluated(model.backbone, 20, 1.4, foreign=True))


@pytest.mark.parametrize(
    ("file", "params", "solver", "guidance", "threshold"),
    [
        ("l2c_dit_infer20", DIT, ddim(linear(), 20), 4.0, 0.1),
        ("l2c_uvit_infer20", UVIT, dpm_solver_2(scaled_linear(), 20), 1.4, 0.9),
    ],
)
def test_cached_sampling_matches_learning_to_cache(
    file: str, params: DiTParams | UViTParams, solver: Solver, guidance: float, threshold: float
) -> None:
    tensors = golden(file)
    model = _model(params, tensors)
    routers = [tensors[f"router.{index}.prob"] for index in range(20)]
    plan = plan_from_router(routers, "dit" if params is DIT else "uvit", model.backbone.sites, solver.times, threshold, {})
    rows = len(tensors["in.noise"])
    for planned, name in ((plan, "out.x_steps"), (None, "out.x_steps_uncached")):
        states = _states(model, tensors["in.y"], solver, tensors["in.noise"], None, guidance, planned)
        assert_close(states, tensors[name][:, :rows], evaluated(model.backbone, 20, guidance, foreign=True))


def _pixart(tensors: dict[str, torch.Tensor]) -> Model:
    """For latents of the shape of the reference's."""
    state = {name[3:]: value for name, value in tensors.items() if name.startswith("sd.")}
    state.pop(pixart_layout.NULL_CAPTION, None)
    backbone: Any = PixArt(PIXART).eval()
    load_into(backbone, pixart_layout.to_official(state) if pixart_layout.is_diffusers_pixart(state) else state)
    rows, columns = next(tensors[name].shape[2:] for name in ("in.latents", "in.z") if name in tensors)
    spec = ModelSpec(
        "tiny", "pixart", PIXART, "linear", "pixels", 16, 8, Defaults("dpm-solver++", 20, 4.5), text="t5", shape=(rows, columns)
    )
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _assert_sampled(
    model: Model, prompts: PromptTable, grid: str, noise: torch.Tensor, states: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From that noise the engine goes through these states."""
    labels, solver = tuple(range(len(noise))), dpm_solver_pp(linear(), 20, grid=grid)  # pyright: ignore[reportArgumentType]
    request = SamplingRequest(labels, labels, solver, 4.5, prompts=prompts)
    with torch.inference_mode():
        steps = torch.stack(list(trajectory(denoiser(model, request, labels), solver, noise, solver.init())))
    assert_close(steps, states, evaluated(model.backbone, 20, 4.5, foreign=True))
    monkeypatch.setattr(SampleNoise, "draw", lambda *_: noise[None])
    request.check_fits(model)
    assert torch.equal(sample_latents(model, request, labels), steps[-1])


def test_twenty_steps_of_diffusers_pixart_pipeline_are_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = golden("pixart_diffusers_sampling20")
    both = [torch.cat([tensors[f"in.{kind}"], tensors[f"in.negative_{kind}"]]) for kind in ("prompt_embeds", "prompt_attention_mask")]
    prompts = PromptTable(("a prompt",), Prompts(*both), null=(1,))
    _assert_sampled(_pixart(tensors), prompts, "diffusers", tensors["in.latents"], tensors["out.trajectory"], monkeypatch)


def test_twenty_steps_of_pixarts_own_sampler_are_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its null prompt is a learned table under the mask of each prompt, so every prompt has a null of its own."""
    tensors = golden("pixart_official_dpms20")
    features = torch.cat([tensors["in.y"][:, 0], tensors["sd.y_embedder.y_embedding"].expand(2, -1, -1)])
    prompts = PromptTable(("one", "two"), Prompts(features, tensors["in.mask"].repeat(2, 1)), null=(2, 3))
    _assert_sampled(_pixart(tensors), prompts, "pixart", tensors["in.z"], tensors["out.intermediates"][1:], monkeypatch)
