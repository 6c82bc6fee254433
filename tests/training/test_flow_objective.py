from typing import Any

import pytest
import torch
from torch import Tensor

from ditkit.diffusion.flow import gvp_flow, linear_flow, vp_flow
from ditkit.diffusion.prediction import Kind
from ditkit.errors import ConfigError
from ditkit.models.sit import SiT, SiTParams
from ditkit.training.flow_objective import FlowObjective
from tests.closeness import assert_close, near, spread
from tests.golden_files import golden, rounded

PATHS = {"Linear": linear_flow(), "GVP": gvp_flow(), "VP": vp_flow()}
KINDS: dict[str, Kind] = {"velocity": "velocity", "noise": "epsilon", "score": "score"}
TOLERANCE = rounded(1.4e-5)  # of the reference's manifest


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return golden("sit_loss")


@pytest.fixture(scope="module")
def model(reference: dict[str, Tensor]) -> Any:
    model: Any = SiT(SiTParams(width=48, depth=2, heads=4, patch=2, input_size=8, classes=10))
    model.load_state_dict({name[3:]: value for name, value in reference.items() if name.startswith("sd.")})
    return model.eval()


def losses(model: Any, objective: FlowObjective, reference: dict[str, Tensor]) -> Tensor:
    noise, x0, at = reference["in.x0"], reference["in.x1"], objective.at(1 - reference["in.t"].double())  # its x0 is the noise
    out = model(objective.noisy(x0, noise, at), model.condition(objective.times(at), reference["in.y"]))
    return objective.loss(out, x0, noise, at)[0]


@pytest.mark.parametrize("weighting", ["none", "velocity", "likelihood"])
@pytest.mark.parametrize("prediction", KINDS)
@pytest.mark.parametrize("path", PATHS)
def test_losses_are_the_published_ones(path: str, prediction: str, weighting: Any, model: Any, reference: dict[str, Tensor]) -> None:
    if prediction == "velocity" and weighting != "none":
        with pytest.raises(ConfigError, match=r"a weighting is for a network that predicts noise; leave out flow\.weighting"):
            FlowObjective(PATHS[path], "velocity", weighting)
        return
    with torch.no_grad():
        mine = losses(model, FlowObjective(PATHS[path], KINDS[prediction], weighting), reference)
    assert_close(mine, reference[f"out.{path}.{prediction}.{weighting}.loss"], TOLERANCE)


def test_gradients_are_the_published_ones(model: Any, reference: dict[str, Tensor]) -> None:
    model.zero_grad()
    losses(model, FlowObjective(linear_flow(), "velocity"), reference).mean().backward()
    named, prefix = dict(model.named_parameters()), "out.Linear.velocity.none.grad."
    wanted = {name.removeprefix(prefix): value for name, value in reference.items() if name.startswith(prefix)}
    assert len(wanted) == 5
    for name, value in wanted.items():
        assert_close(named[name].grad, value, TOLERANCE)


@pytest.mark.parametrize("kind", ["velocity", "reversed velocity", "epsilon", "sample", "score"])
def test_a_perfect_prediction_has_no_loss(kind: Kind) -> None:
    from ditkit.diffusion.prediction import Prediction

    x0, noise, times = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4), (0.2, 0.5, 0.9)
    objective = FlowObjective(gvp_flow(), kind)
    at = objective.at(torch.tensor(times).double())
    x = objective.noisy(x0, noise, at)
    said = []
    for row, t in enumerate(times):
        level, clean = gvp_flow().level_at(t), Prediction(x0[row], "sample")
        values = {
            "epsilon": noise[row],
            "sample": x0[row],
            "score": clean.to_score(x[row], level),
            "velocity": clean.to_velocity(x[row], level),
        }
        said.append(-values["velocity"] if kind == "reversed velocity" else values[kind])
    assert float(objective.loss(torch.stack(said), x0, noise, at)[0].max()) < 1e-9


def test_times_are_even_or_logistic_normal() -> None:
    level = (torch.arange(4000) + 0.5) / 4000
    even = FlowObjective(linear_flow(), "velocity").times_of(level)
    assert (float(even.min()), float(even.max())) == near((0.0, 1.0), within=1e-3)
    times = FlowObjective(linear_flow(), "velocity", mean=0.5, deviation=2.0).times_of(level)
    logits = torch.logit(times)
    assert (float(logits.mean()), float(logits.std())) == near((0.5, 2.0), within=2 * spread(4000))


@pytest.mark.parametrize(("path", "kind", "between"), [("Linear", "epsilon", (0.001, 0.999)), ("VP", "velocity", (1e-5, 1.0))])
def test_the_published_ends_are_left_out(path: str, kind: Kind, between: tuple[float, float]) -> None:
    times = FlowObjective(PATHS[path], kind).times_of(torch.tensor([0.0, 1.0]))
    assert tuple(times.tolist()) == near(between)
    objective = FlowObjective(linear_flow(), "velocity")
    assert objective.times(objective.at(torch.tensor([0.25]))).tolist() == [250]
