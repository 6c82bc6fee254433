"""The engine reproduces the published samplers on the golden networks, step by step."""

import pytest
import torch

from ditkit.cache.imports import plan_from_router
from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import Solver, ddim, ddpm, dpm_solver_2
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import denoiser, trajectory
from ditkit.models.dit import DiT, DiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.models.uvit import UViT, UViTParams
from tests.golden_files import golden

DIT = DiTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10)
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


def _assert_close(mine: torch.Tensor, reference: torch.Tensor, tolerance: float) -> None:
    assert (mine - reference).abs().max() <= tolerance * reference.abs().max()


def test_twenty_ddim_steps_with_guidance_match_dit() -> None:
    tensors = golden("dit_ddim20")
    states = _states(_model(DIT, tensors), tensors["in.y"], ddim(linear(), 20), tensors["in.noise"], None, 4.0)
    _assert_close(states, tensors["out.x_steps"][:, :2], 4.8e-5)


def test_ten_ancestral_steps_with_learned_variance_match_dit() -> None:
    tensors = golden("dit_ddpm10")
    noise = tensors["in.step_noise"][:9, :2]
    states = _states(_model(DIT, tensors), tensors["in.y"], ddpm(linear(), 10), tensors["in.noise"], noise, 4.0)
    _assert_close(states, tensors["out.x_steps"][:, :2], 1e-5)


def test_twenty_evaluations_of_dpm_solver_2_match_uvit() -> None:
    tensors = golden("uvit_dpm20")
    states = _states(_model(UVIT, tensors), tensors["in.y"], dpm_solver_2(scaled_linear(), 20), tensors["in.noise"], None, 1.4)
    _assert_close(states, tensors["out.x_steps"], 2e-5)


@pytest.mark.parametrize(
    ("file", "params", "solver", "guidance", "threshold", "tolerance"),
    [
        ("l2c_dit_infer20", DIT, ddim(linear(), 20), 4.0, 0.1, 2.7e-5),
        ("l2c_uvit_infer20", UVIT, dpm_solver_2(scaled_linear(), 20), 1.4, 0.9, 1e-5),
    ],
)
def test_cached_sampling_matches_learning_to_cache(
    file: str, params: DiTParams | UViTParams, solver: Solver, guidance: float, threshold: float, tolerance: float
) -> None:
    tensors = golden(file)
    model = _model(params, tensors)
    routers = [tensors[f"router.{index}.prob"] for index in range(20)]
    plan = plan_from_router(routers, "dit" if params is DIT else "uvit", model.backbone.sites, solver.times, threshold, {})
    rows = len(tensors["in.noise"])
    for planned, name in ((plan, "out.x_steps"), (None, "out.x_steps_uncached")):
        states = _states(model, tensors["in.y"], solver, tensors["in.noise"], None, guidance, planned)
        _assert_close(states, tensors[name][:, :rows], tolerance)
