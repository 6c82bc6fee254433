"""The engine reproduces SiT's published samplers on the golden networks, state by state.

The references carry both halves of a guided batch; ditkit's samples are the first half, and so is what is compared.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Kind
from ditkit.diffusion.schedule import FlowPath, named
from ditkit.diffusion.solvers import SOLVERS, Solver
from ditkit.diffusion.solvers.adaptive import dopri5
from ditkit.engine.adaptive import adaptive_latents
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import trajectory
from ditkit.models.sit import SiT, SiTParams
from ditkit.models.spec import Defaults, ModelSpec
from tests.closeness import assert_close, evaluated
from tests.golden_files import golden, golden_manifest, rounded

METHODS = {"heun2": "heun"}  # ditkit's name where it is another than torchdiffeq's


def _model(file: str, tensors: dict[str, Tensor], prediction: Kind = "velocity") -> Model:
    config = golden_manifest("sit")[file]["config"]
    params = SiTParams(
        width=config["hidden_size"],
        depth=config["depth"],
        heads=config["num_heads"],
        patch=config["patch_size"],
        input_size=config["input_size"],
        classes=config["num_classes"],
        learn_sigma=config["learn_sigma"],
    )
    backbone: Any = SiT(params).eval()
    backbone.load_state_dict({name[3:]: value for name, value in tensors.items() if name.startswith("sd.")})
    spec = ModelSpec("tiny", "sit", params, "linear-flow", "pixels", 8, 3, Defaults("euler", 20, 4.0), prediction=prediction)
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _path(name: str, prediction: Kind, edge: float | None = None) -> FlowPath:
    schedule = named(f"{name.lower()}-flow")
    assert isinstance(schedule, FlowPath)
    return schedule.of(prediction, edge)


def _states(model: Model, tensors: dict[str, Tensor], solver: Solver, guidance: float, noise: Tensor | None = None) -> Tensor:
    labels = tuple(tensors["in.y"].tolist())
    request = SamplingRequest(labels, labels, solver, guidance)
    with torch.inference_mode():
        states = trajectory(denoiser(model, request, labels), solver, tensors["in.noise"], solver.init(noise))
        return torch.stack(list(states))


def _config(file: str) -> Any:
    return golden_manifest("sit")[file]["config"]


def _roundings(model: Model, solver: Solver, config: Any) -> float:
    return evaluated(model.backbone, len(solver.times), config["cfg_scale"], foreign=True)


@pytest.mark.parametrize("run", ["linear", "gvp", "vp"])
def test_euler_is_the_published_one(run: str) -> None:
    tensors, config = golden("sit_ode_euler"), _config("sit_ode_euler")
    solver = SOLVERS["euler"](_path(run, "velocity"), config["runs"][run]["network_evaluations"])
    assert_close(1 - torch.tensor(solver.times) / 1000, tensors[f"out.{run}.eval_t"])
    model = _model("sit_ode_euler", tensors)
    states, roundings = _states(model, tensors, solver, config["cfg_scale"]), _roundings(model, solver, config)
    assert_close(states, tensors[f"out.{run}.states"][1:, : config["n"]], roundings)
    assert_close(states[-1], tensors[f"out.{run}.final"], roundings)


@pytest.mark.parametrize("run", ["heun2", "heun3", "midpoint", "rk4", "noise_gvp_heun2", "score_linear_heun2"])
def test_solvers_of_several_stages_are_the_published_ones(run: str) -> None:
    tensors, config = golden("sit_ode_heun"), _config("sit_ode_heun")
    said = config["runs"][run]
    kind: Kind = "epsilon" if said["prediction"] == "noise" else said["prediction"]
    path = _path(said["path"], kind, said["sample_eps"] or None)
    solver = SOLVERS[METHODS.get(str(said["method"]), str(said["method"]))](path, said["network_evaluations"])
    model = _model("sit_ode_heun", tensors, kind)
    states = _states(model, tensors, solver, config["cfg_scale"])
    assert solver.steps == said["intervals"]
    assert_close(states, tensors[f"out.{run}.states"][1:, : config["n"]], _roundings(model, solver, config))


@pytest.mark.parametrize("run", ["Linear", "VP"])
def test_dopri5_ends_where_the_published_one_does(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, entry = golden("sit_ode_dopri5"), golden_manifest("sit")["sit_ode_dopri5"]
    config, rule = entry["config"], entry["tolerance"]
    model, labels = _model("sit_ode_dopri5", tensors), tuple(tensors["in.y"].tolist())
    monkeypatch.setattr(SampleNoise, "draw", lambda self, *_: tensors["in.noise"][list(self.seeds)][None])
    ends = {}
    for rtol, atol in ((1e-3, 1e-6), (1e-7, 1e-8)):
        solver = dopri5(_path(run, "velocity"), 1000, rtol=rtol, atol=atol)
        request = SamplingRequest(labels, tuple(range(len(labels))), solver, config["cfg_scale"])
        ends[rtol] = adaptive_latents(model, request, range(len(labels)))
    exact = tensors[f"out.{run}.end_exact"][: config["n"]]
    assert_close(ends[1e-3], exact, rounded(rule["tol_exact"]))
    assert_close(ends[1e-3], tensors[f"out.{run}.final"], rounded(rule["tol_same"] + rule["tol_exact"]))
    assert_close(ends[1e-7], exact, evaluated(model.backbone, 100, config["cfg_scale"], foreign=True))


def _stochastic_runs(file: str) -> list[tuple[str, str, str]]:
    runs = golden_manifest("sit")[file]["config"]["runs"]
    return [(file, run, last) for run, said in runs.items() for last in said["last"]]


@pytest.mark.parametrize(("file", "run", "last"), [*_stochastic_runs("sit_sde_em"), *_stochastic_runs("sit_sde_heun")])
def test_the_sde_is_solved_as_published(file: str, run: str, last: str) -> None:
    tensors, config = golden(file), _config(file)
    if f"out.{run}.end_{last}" not in tensors:
        pytest.skip("not in the small set")
    said = config["runs"][run]
    steps = config["num_steps"] - 1
    name = "euler-maruyama" if config["method"] == "Euler" else "stochastic-heun"
    options = {"last_step": said["last_step_size"]} if last != "None" else {}
    edge = said["sample_eps"] or None
    each = 2 if name == "stochastic-heun" else 1
    solver = SOLVERS[name](
        _path(said["path"], "velocity", edge),
        each * steps + (last != "None"),
        form=said["diffusion_form"].lower(),
        norm=said["diffusion_norm"],
        last=last.lower(),
        **options,
    )
    model = _model(file, tensors)
    states = _states(model, tensors, solver, config["cfg_scale"], tensors["in.step_noise"][:, : config["n"]])
    roundings = _roundings(model, solver, config)
    body = tensors[f"out.{run}.{'none' if last == 'None' else 'body'}_states"]
    assert_close(states[:steps], body[:, : config["n"]], roundings)
    assert_close(states[-1], tensors[f"out.{run}.end_{last}"][: config["n"]], roundings)
