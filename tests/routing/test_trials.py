"""Whole runs as a trial: their errors are those of the plans that the engine runs, for every solver, and all gates have gradients."""

import pytest
import torch

from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import Solver, ddim, ddpm, dpm_solver_2, dpm_solver_pp
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.routing.gates import gates
from ditkit.routing.router import to_plan
from ditkit.routing.starts import record_trajectories
from ditkit.routing.trials import WholeRuns
from tests.closeness import assert_close, evaluated, of_squares, tolerance
from tests.models.tiny import tiny

GUIDANCE = 2.0
SOLVERS = [ddim(linear(), 5), ddpm(linear(), 5, variance="fixedsmall"), dpm_solver_pp(linear(), 5), dpm_solver_2(scaled_linear(), 6)]


def _model(name: str = "dit") -> Model:
    backbone = tiny(name).requires_grad_(False)
    spec = ModelSpec("tiny", name, backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 5, 1.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _request(solver: Solver, plan: CachePlan | None = None) -> SamplingRequest:
    return SamplingRequest((1, 2, 3), (7, 8, 9), solver, GUIDANCE, plan=plan, batch=3)


def _trial(model: Model, solver: Solver, period: int = 100, batch: int = 4) -> WholeRuns:
    return WholeRuns(model, solver, gates(solver, period), record_trajectories(model, _request(solver)), batch, GUIDANCE)


def _drawn(trial: WholeRuns) -> list[int]:
    return torch.randint(len(trial.runs), (trial.batch,), generator=torch.Generator().manual_seed(5)).tolist()


def _roundings(trial: WholeRuns) -> float:
    return evaluated(trial.model.backbone, len(trial.solver.times), GUIDANCE)


def _size(errors: torch.Tensor) -> float:
    """Of what is rounded in relative squared errors of a sample."""
    return of_squares(float(errors.max()), 1.0, 1)


@pytest.mark.parametrize("name", ["dit", "uvit"])
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
@pytest.mark.parametrize("period", [2, 100])
def test_with_scores_of_0_and_1_the_error_is_that_of_the_plan(name: str, solver: Solver, period: int) -> None:
    model = _model(name)
    trial = _trial(model, solver, period)
    sites = model.backbone.sites
    scores = (torch.rand((len(trial.gates), len(sites)), generator=torch.Generator().manual_seed(1)) < 0.5).float()
    errors, passed = trial(scores, torch.Generator().manual_seed(5), slice(0, 4))
    plan = to_plan(scores.bool(), trial.gates, sites, solver.times, {})
    full, cached = (sample_latents(model, _request(solver, each), range(3)) for each in (None, plan))
    expected = (cached - full).square().flatten(1).sum(1) / full.square().flatten(1).sum(1)
    assert_close(errors, expected[_drawn(trial)], _roundings(trial), size=_size(expected))
    assert float(errors.min()) > 0 and passed.tolist() == [[1.0] * len(trial.gates)] * 4


def test_scores_of_1_have_no_error() -> None:
    trial = _trial(_model(), SOLVERS[0])
    errors, _ = trial(torch.ones(len(trial.gates), 4), torch.Generator().manual_seed(5), slice(0, 4))
    assert float(errors.max()) <= tolerance(1, _roundings(trial), torch.float32) ** 2


def test_every_gate_and_site_has_a_gradient_and_the_network_has_none() -> None:
    model = _model()
    trial = _trial(model, SOLVERS[0])
    logits = torch.zeros(len(trial.gates), 4, requires_grad=True)
    errors, _ = trial(torch.sigmoid(logits), torch.Generator().manual_seed(5), slice(0, 4))
    errors.sum().backward()
    assert logits.grad is not None and float(logits.grad.abs().min()) > 0
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


def test_the_rows_of_two_processes_are_those_of_one() -> None:
    trial = _trial(_model(), SOLVERS[2])
    scores = torch.full((len(trial.gates), 4), 0.5)
    whole, *parts = (trial(scores, torch.Generator().manual_seed(5), rows).errors for rows in (slice(0, 4), slice(0, 1), slice(1, 4)))
    assert_close(whole, torch.cat(parts), _roundings(trial), size=_size(whole))


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
@pytest.mark.parametrize("recompute", [False, True])
def test_with_scores_of_0_and_1_and_weights_the_error_is_that_of_the_plan_with_forecasts(solver: Solver, recompute: bool) -> None:
    model = _model()
    trial = _trial(model, solver)
    trial.recompute = recompute
    sites = model.backbone.sites
    generator = torch.Generator().manual_seed(1)
    scores = (torch.rand((len(trial.gates), len(sites)), generator=generator) < 0.5).float()
    weights = torch.tensor([1.4, -0.5, 0.1]) + 0.1 * torch.rand((len(trial.gates), len(sites), 3), generator=generator)
    errors, _ = trial(scores, torch.Generator().manual_seed(5), slice(0, 4), weights)
    plan = to_plan(scores.bool(), trial.gates, sites, solver.times, {}, weights)
    assert max(map(len, plan.forecast.values())) > 1
    full, cached = (sample_latents(model, _request(solver, each), range(3)) for each in (None, plan))
    expected = (cached - full).square().flatten(1).sum(1) / full.square().flatten(1).sum(1)
    assert_close(errors, expected[_drawn(trial)], _roundings(trial), size=_size(expected))


def test_making_graphs_again_changes_no_gradient_and_needs_less_of_them() -> None:
    found, sizes = [], []
    for recompute in (False, True):
        trial = _trial(_model(), SOLVERS[0])
        trial.recompute = recompute
        logits = torch.zeros(len(trial.gates), 4, requires_grad=True)
        weights = torch.tensor([1.3, -0.3]).repeat(len(trial.gates), 4, 1).requires_grad_(True)
        saved: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, saved=saved: saved.update({tensor.data_ptr(): tensor.numel()}) or tensor, lambda tensor: tensor
        ):
            errors, _ = trial(torch.sigmoid(logits), torch.Generator().manual_seed(5), slice(0, 4), weights)
        sizes.append(sum(saved.values()))
        errors.sum().backward()
        assert logits.grad is not None and weights.grad is not None
        found.append((logits.grad, weights.grad))
    for mine, other in zip(*found, strict=True):
        assert_close(mine, other, _roundings(trial))
    assert sizes[1] < sizes[0] / 2
