"""The published router losses, gradients and updates, on the golden networks."""

from dataclasses import replace

import pytest
import torch

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import ddim, dpm_solver_2
from ditkit.engine.model import Model
from ditkit.models.dit import DiT, DiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.models.uvit import UViT, UViTParams
from ditkit.routing.gates import gates
from ditkit.routing.objective import GatedRun, straight_through
from ditkit.routing.router import above
from tests.closeness import assert_close, evaluated, of_squares
from tests.golden_files import golden

DIT = DiTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10)
UVIT = UViTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10, null_class=True, conv=False)
LAMBDA, RATE = 1e-3, 1e-2


def _model(params: DiTParams | UViTParams, tensors: dict[str, torch.Tensor]) -> Model:
    backbone = (DiT(params) if isinstance(params, DiTParams) else UViT(params)).eval().requires_grad_(False)
    backbone.load_state_dict({name[3:]: value for name, value in tensors.items() if name.startswith("sd.")})
    spec = ModelSpec("tiny", "dit", params, "linear", "pixels", 8, 3, Defaults("ddim", 20, 1.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def _evaluated_twice(run: GatedRun) -> float:
    return evaluated(run.model.backbone, 2, foreign=True)


def _size(error: torch.Tensor, outputs: torch.Tensor) -> float:
    """Of what is rounded in the mean squared errors (B,) between two networks' outputs, and in their gradients."""
    return of_squares(float(error.detach().max()), float(outputs.abs().max()), outputs[0].numel())


def _dit_loss(tensors: dict[str, torch.Tensor], run: GatedRun, case: int, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and squared error of a recorded case; `logits` are in the order of the gates: the cleanest last."""
    given = {name.split(".")[-1]: value for name, value in tensors.items() if name.startswith(f"in.case{case}.")}
    evaluation = 20 - int(given["t_index"][0])  # the even spaced index after it, counted from the noisiest
    at = next(index for index, gate in enumerate(run.gates) if gate.evaluation == evaluation)
    level = run.solver.levels[evaluation - 1]
    x = level.alpha * given["x0"] + level.sigma * given["noise"]
    y = torch.where(given["label_dropped"].bool(), 10, given["y"])
    scores = torch.sigmoid(logits)
    threshold = float(given["thres"])
    used = scores if threshold < 0 else straight_through(scores, above(scores, threshold))
    outputs = run.outputs([at] * len(x), used, x, None, y)
    expected = f"out.case{case}"
    assert_close(x, tensors[f"{expected}.x_t"])
    assert_close(outputs.x, tensors[f"{expected}.x_next"], _evaluated_twice(run))
    assert_close(outputs.teacher, tensors[f"{expected}.teacher"], _evaluated_twice(run))
    error = outputs.squared_error()
    return error.mean() + LAMBDA * scores[at].sum(), error


def _dit_logits(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([tensors[f"router.{index}.prob"] for index in range(18, -1, -2)]).requires_grad_()


@pytest.mark.parametrize("case", [0, 1, 2])
def test_dits_losses_and_gradients_are_the_published_ones(case: int) -> None:
    tensors = golden("l2c_dit_train20")
    run = GatedRun(_model(DIT, tensors), ddim(linear(), 20), gates(ddim(linear(), 20)))
    logits = _dit_logits(tensors)
    loss, error = _dit_loss(tensors, run, case, logits)
    size, roundings = _size(error, tensors[f"out.case{case}.teacher"]), _evaluated_twice(run)
    assert_close(error, tensors[f"out.case{case}.mse"], roundings, size=size)
    assert_close(loss, tensors[f"out.case{case}.loss"], roundings, size=size)
    row = 9 - int(tensors[f"out.case{case}.router_index"]) // 2
    of_error = torch.autograd.grad(error.mean(), logits, retain_graph=True)[0]
    assert_close(of_error[row], tensors[f"out.case{case}.grad_mse"], roundings, size=size)
    gradient = torch.autograd.grad(loss, logits)[0]
    assert_close(gradient[row], tensors[f"out.case{case}.grad_total"], roundings, size=size)
    assert not gradient[[index for index in range(10) if index != row]].any()


@pytest.mark.parametrize("case", [0, 1, 2])
def test_uvits_losses_and_gradients_are_the_published_ones(case: int) -> None:
    tensors = golden("l2c_uvit_train20")
    solver = dpm_solver_2(scaled_linear(), 20)
    given = {name.split(".")[-1]: value for name, value in tensors.items() if name.startswith(f"in.case{case}.")}
    step = int(given["random_step"])
    evaluation = 2 * step + 2
    times = list(solver.times)
    times[evaluation] = float(round(times[evaluation]))  # published training tells the network whole times, sampling does not
    run = GatedRun(_model(UVIT, tensors), replace(solver, times=tuple(times)), gates(solver))
    at = next(index for index, gate in enumerate(run.gates) if gate.evaluation == evaluation)
    assert at + 1 == int(tensors[f"out.case{case}.router_index"])
    logits = torch.stack([tensors[f"router.{index}.prob"] for index in range(1, 10)]).requires_grad_()
    outputs = run.outputs([at] * 4, torch.sigmoid(logits), tensors[f"out.case{case}.x_n"], None, given["y"])
    roundings = _evaluated_twice(run)
    for name, value in {"x_next": outputs.x, "teacher": outputs.teacher, "student": outputs.student}.items():
        assert_close(value, tensors[f"out.case{case}.{name}"], roundings)
    numbers = 4 * 8 * 8  # they sum over a sample where ditkit takes the mean: a price of 0.1 is 0.1 / 256 here
    error = outputs.squared_error()
    size = _size(error, outputs.teacher) * numbers
    assert_close(error * numbers, tensors[f"out.case{case}.data_loss"], roundings, size=size)
    loss = error.mean() + 0.1 / numbers * torch.sigmoid(logits[at]).sum()
    assert_close(loss * numbers, tensors[f"out.case{case}.loss"], roundings, size=size)
    assert_close(torch.autograd.grad(loss * numbers, logits)[0][at], tensors[f"out.case{case}.grad_total"], roundings, size=size)


def test_five_updates_follow_the_published_trace() -> None:
    tensors = golden("l2c_dit_train20")
    run = GatedRun(_model(DIT, tensors), ddim(linear(), 20), gates(ddim(linear(), 20)))
    rows = torch.nn.ParameterList([row.detach().clone() for row in _dit_logits(tensors)])
    optimizer = torch.optim.AdamW(rows, RATE, weight_decay=0.0)
    losses, sizes = [], []
    for case in tensors["in.trace.case_order"].tolist():
        loss, error = _dit_loss(tensors, run, case, torch.stack(list(rows)))
        sizes.append(_size(error, tensors[f"out.case{case}.teacher"]))
        optimizer.zero_grad()
        loss.backward()
        used = 9 - int(tensors[f"out.case{case}.router_index"]) // 2
        for index, row in enumerate(rows):
            row.grad = row.grad if index == used else None  # theirs are parameters of their own: unused ones stay
        optimizer.step()
        with torch.no_grad():
            for row in rows:
                row.clamp_(-5, 5)
        losses.append(loss.detach())
    assert_close(torch.stack(losses), tensors["out.trace.losses"], _evaluated_twice(run), size=max(sizes))
    for index, row in enumerate(rows):
        assert_close(row, tensors[f"out.trace.router.{18 - 2 * index}.prob"], _evaluated_twice(run))
