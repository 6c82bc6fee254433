"""Training a router: what a step draws, that resuming repeats the bits, and that the budget is reached."""

from pathlib import Path

import pytest
import torch

from ditkit.cache.cost import trajectory_cost
from ditkit.codecs.registry import load_codec
from ditkit.data.latents import Latents
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import Solver, ddim, ddpm, dpm_solver_2, dpm_solver_pp
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.routing.gates import gates
from ditkit.routing.objective import GatedRun
from ditkit.routing.router import Router, decided, to_plan
from ditkit.routing.starts import NoisedData, Starts, record_trajectories
from ditkit.routing.task import RouterTask
from ditkit.routing.trials import SingleEvaluations
from tests.closeness import assert_close, evaluated, near, spread
from tests.models.tiny import tiny

SOLVER = ddim(linear(), 6)
BATCH = 6


def _model() -> Model:
    backbone = tiny("dit").requires_grad_(False)
    spec = ModelSpec("tiny", "dit", backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 1.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _data(model: Model, solver: Solver = SOLVER) -> NoisedData:
    values = torch.randn(5, 2, *model.spec.sample_shape, generator=torch.Generator().manual_seed(3))
    return NoisedData(Latents(values, torch.tensor([0, 1, 2, 3, 4]), tuple("abcde")), solver, model)


def _task(starts: Starts, model: Model, **options: object) -> RouterTask:
    router = Router(3, len(model.backbone.sites), price=1e-3)
    trial = SingleEvaluations(GatedRun(model, SOLVER, gates(SOLVER)), starts, BATCH)
    return RouterTask(router, trial, model.backbone.multiply_adds(), **{"seed": 0, "clamp": 5.0, **options})  # pyright: ignore


def _steps(task: RouterTask, count: int, rate: float = 0.3) -> None:
    optimizer = torch.optim.AdamW(task.module.parameters(), rate, weight_decay=0.0)
    for step in range(count):
        optimizer.zero_grad()
        loss, _ = task.loss(step, slice(0, BATCH))
        (loss / BATCH).backward()
        optimizer.step()


def test_the_rows_of_two_processes_add_up_to_those_of_one() -> None:
    model = _model()
    whole, _ = _task(_data(model), model).loss(3, slice(0, 6))
    parts = [_task(_data(model), model).loss(3, rows)[0] for rows in (slice(0, 2), slice(2, 6))]
    assert_close(whole, parts[0] + parts[1], evaluated(model.backbone, 2), size=2 * float(whole.detach()) ** 0.5)  # squares of differences


def test_the_price_makes_the_kept_share_the_budget() -> None:
    model = _model()
    task = _task(_data(model), model, budget=0.8)
    _steps(task, 150)
    assert float(task.kept().detach()) == near(0.8, within=0.03)
    free = _task(_data(model), model)
    free.module.price.fill_(1e3)
    _steps(free, 150)
    assert float(free.kept().detach()) < 0.56  # a price beyond all reason closes every gate


@pytest.mark.parametrize(("budget", "threshold"), [(0.75, 0.5), (None, 0.6)])
def test_hard_scores_are_tried_as_the_plan_will_decide(budget: float | None, threshold: float) -> None:
    model = _model()
    task = _task(_data(model), model, budget=budget, threshold=threshold, hard=True)
    with torch.no_grad():
        task.module.logits.copy_(torch.randn(task.module.logits.shape, generator=torch.Generator().manual_seed(4)))
    costs, sites = task.costs, model.backbone.sites
    keep = decided(task.module.logits.detach(), len(SOLVER.times), sites, costs, budget=budget, threshold=threshold)
    plan = to_plan(keep, gates(SOLVER), sites, SOLVER.times, {})
    assert 0 < int(keep.sum()) < keep.numel() and torch.equal(task.used().detach(), keep.float())
    assert float(task.kept().detach()) == near(1 - trajectory_cost(costs, len(SOLVER.times), 1, plan).saved, dtype=torch.float32)


def test_scores_stay_within_the_clamp() -> None:
    model = _model()
    task = _task(_data(model), model, clamp=0.5)
    _steps(task, 20, rate=1.0)
    task.loss(20, slice(0, 6))
    assert float(task.module.logits.detach().abs().max()) == 0.5


def test_data_are_noised_to_the_level_of_the_step_and_lose_some_labels() -> None:
    model = _model()
    data = _data(model)
    generator = torch.Generator().manual_seed(0)
    x, memory, labels = data.draw([0] * 300 + [5] * 300, generator)
    assert x[:300].std().item() == near(1, within=spread(2 * x[:300].numel()))
    assert memory is not None
    clean = SOLVER.levels[5]
    assert (x[300:] / clean.alpha - memory[300:]).std().item() == near(clean.sigma / clean.alpha, within=0.01 * clean.sigma)
    assert 0.05 < (labels == 5).float().mean().item() < 0.15


@pytest.mark.parametrize(
    "solver",
    [ddim(linear(), 4), ddpm(linear(), 4), dpm_solver_pp(linear(), 4), dpm_solver_2(scaled_linear(), 4)],
    ids=lambda solver: solver.name,
)
def test_a_recorded_trajectory_can_be_entered_anywhere(solver: Solver) -> None:
    model = _model()
    request = SamplingRequest((1, 2, 3), (7, 8, 9), solver, 2.0, batch=2)
    recorded = record_trajectories(model, request)
    assert recorded.x.shape == (3, solver.steps, *model.spec.sample_shape)
    from ditkit.engine.denoiser import denoiser

    x, state, labels = recorded.draw([1, 1, 1, 1], torch.Generator().manual_seed(0))
    denoise = denoiser(model, SamplingRequest(tuple(labels.tolist()), (0,) * 4, solver, 2.0), labels.tolist())
    after, _ = solver.step(denoise, x, 1, state)
    if solver.steps > 2:
        sample = [recorded.labels.tolist().index(label) for label in labels.tolist()]
        assert_close(after, recorded.x[sample, 2], evaluated(model.backbone, 2, 2.0))


def test_killed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    from ditkit.training.trainer import TrainSettings, train

    settings = TrainSettings(steps=6, batch=6, learning_rate=0.1, warmup=0, clip=0.0, ema=0.0, save_minutes=0.0)
    model = _model()
    for name, stops in (("whole", ()), ("killed", (4,))):
        for stop in (*stops, None):
            for report in train(_task(_data(model), model, budget=0.8), settings, tmp_path / name):
                if report.step == stop:
                    break
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True)["model"] for name in ("whole", "killed")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in ("logits", "price"))
