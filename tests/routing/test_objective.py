"""Gated runs: extremes of the score, samples at different gates, every family and solver, and what has gradients."""

from typing import Any

import pytest
import torch

from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import Solver, ddim, ddpm, dpm_solver_2, dpm_solver_pp
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.models.dit import DiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.routing.gates import gates
from ditkit.routing.objective import GatedRun, straight_through
from tests.closeness import assert_close, evaluated
from tests.models.tiny import tiny

SOLVERS = {
    "ddim": ddim(linear(), 6),
    "ddpm": ddpm(linear(), 6, variance="fixedsmall"),
    "dpm-solver++": dpm_solver_pp(linear(), 6),
    "dpm-solver-2": dpm_solver_2(scaled_linear(), 7),
}


def _model(name: str) -> Model:
    backbone = tiny(name).requires_grad_(False)
    family = "dit" if isinstance(backbone.params, DiTParams) else "uvit"
    spec = ModelSpec("tiny", family, backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 1.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _inputs(model: Model, solver: Solver, count: int) -> tuple[torch.Tensor, Any, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (count, *model.spec.sample_shape)
    state = torch.randn((solver.draws, *shape) if solver.draws else shape, generator=generator)
    return torch.randn(shape, generator=generator), state, torch.randint(0, 5, (count,), generator=generator)


@pytest.mark.parametrize("family", ["dit", "uvit"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("period", [2, 3])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_a_sample_at_its_gate_does_not_depend_on_its_batch(family: str, solver: str, period: int, guidance: float) -> None:
    model, chosen = _model(family), SOLVERS[solver]
    gated = gates(chosen, period)
    run = GatedRun(model, chosen, gated, guidance)
    at = [index % len(gated) for index in range(len(gated) + 2)]
    x, state, y = _inputs(model, chosen, len(at))
    scores = torch.sigmoid(torch.randn((len(gated), len(model.backbone.sites)), generator=torch.Generator().manual_seed(1)))
    roundings = evaluated(model.backbone, period, guidance)
    together = run.outputs(at, scores, x, state, y)
    for index, gate in enumerate(at):
        mine = state[:, index : index + 1] if chosen.draws else state[index : index + 1]
        alone = run.outputs([gate], scores, x[index : index + 1], mine, y[index : index + 1])
        for whole, part in ((together.student, alone.student), (together.teacher, alone.teacher), (together.x, alone.x)):
            assert_close(whole[index : index + 1], part, roundings)


@pytest.mark.parametrize("family", ["dit", "uvit"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_scores_of_one_are_the_teacher_and_of_zero_the_plan_that_reuses_everything(family: str, solver: str) -> None:
    model, chosen = _model(family), SOLVERS[solver]
    gated = gates(chosen)
    run = GatedRun(model, chosen, gated, 2.5)
    x, state, y = _inputs(model, chosen, 2)
    at, sites = len(gated) - 1, model.backbone.sites
    full = run.outputs([at, at], torch.ones(len(gated), len(sites)), x, state, y)
    assert torch.equal(full.student, full.teacher)
    none = run.outputs([at, at], torch.zeros(len(gated), len(sites)), x, state, y)
    assert float(none.squared_error().min()) > 0
    # the same by the engine: enter the run at the gate's step, and obey a plan that reuses everything at the gate
    gate = gated[at]
    rows = tuple((evaluation != gate.evaluation,) * len(sites) for evaluation in range(len(chosen.times)))
    plan = CachePlan(sites, chosen.times, rows)
    request = SamplingRequest(tuple(y.tolist()), (0, 0), chosen, 2.5, plan=plan)
    denoise = denoiser(model, request, request.labels)
    said = {}

    def listening(x: torch.Tensor, evaluation: int) -> Any:
        prediction = said[evaluation] = denoise(x, evaluation)
        return prediction

    for step in range(gate.step, chosen.steps):
        x, state = chosen.step(listening, x, step, state)
        if gate.evaluation in said:
            break
    channels = model.spec.params.channels
    assert_close(none.student[:, :channels], said[gate.evaluation].value, evaluated(model.backbone, 2, 2.5))


def test_only_the_scores_of_the_gates_in_the_batch_have_gradients() -> None:
    model, solver = _model("dit"), SOLVERS["ddim"]
    gated = gates(solver)
    logits = torch.zeros(len(gated), 4, requires_grad=True)
    x, state, y = _inputs(model, solver, 2)
    outputs = GatedRun(model, solver, gated).outputs([0, 2], torch.sigmoid(logits), x, state, y)
    assert not outputs.teacher.requires_grad and not outputs.x.requires_grad
    outputs.squared_error().sum().backward()
    assert logits.grad is not None and logits.grad[[0, 2]].abs().min() > 0 and not logits.grad[1].any()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


def test_a_straight_through_decision_is_hard_forwards_and_soft_backwards() -> None:
    scores = torch.tensor([[0.2, 0.8]], requires_grad=True)
    decided = straight_through(scores, torch.tensor([[False, True]]))
    assert decided.tolist() == [[0.0, 1.0]]
    (decided * torch.tensor([3.0, 5.0])).sum().backward()
    assert scores.grad is not None and scores.grad.tolist() == [[3.0, 5.0]]
