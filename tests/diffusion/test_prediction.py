import math

import pytest
import torch

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Kind, Prediction, Reading
from tests.closeness import assert_close
from tests.golden_files import assert_within, golden, golden_manifest

LEVEL, UNEVEN = Level(0.6, 0.8, 1.3, -0.9), Level(0.7, 0.3, 1.0, -1.0)  # of a noise schedule, and of a flow
X0, EPSILON = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
CONVERSIONS = (Prediction.to_x0, Prediction.to_epsilon, Prediction.to_velocity, Prediction.to_score, Prediction.to_v)


def said(level: Level) -> dict[Kind, torch.Tensor]:
    velocity = level.d_alpha * X0 + level.d_sigma * EPSILON
    return {
        "epsilon": EPSILON,
        "sample": X0,
        "v": (level.alpha * EPSILON - level.sigma * X0) / math.hypot(level.alpha, level.sigma),
        "score": -EPSILON / level.sigma,
        "velocity": velocity,
        "reversed velocity": -velocity,
    }


X, VALUES = LEVEL.alpha * X0 + LEVEL.sigma * EPSILON, said(LEVEL)
VELOCITY = VALUES["velocity"]


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("level", [LEVEL, UNEVEN])
def test_every_kind_of_prediction_means_the_same_sample_noise_velocity_score_and_v(kind: Kind, level: Level) -> None:
    values, x = said(level), level.alpha * X0 + level.sigma * EPSILON
    for convert, meant in zip(CONVERSIONS, ("sample", "epsilon", "velocity", "score", "v"), strict=True):
        assert_close(convert(Prediction(values[kind], kind), x, level), values[meant])


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_a_half_precision_output_is_only_rounded_once(kind: Kind, half: torch.dtype) -> None:
    rounded = VALUES[kind].to(half)
    x = X.float()
    for convert in CONVERSIONS:
        got = convert(Prediction(rounded, kind), x, LEVEL)
        assert got.dtype == torch.float32
        assert torch.equal(got, convert(Prediction(rounded.float(), kind), x, LEVEL))


def test_a_velocity_tells_the_clean_sample_where_there_is_noise_alone_and_the_noise_where_there_is_none() -> None:
    x, velocity = X.float(), VELOCITY.float()
    noise_alone, clean = Level(0.0, 1.0, 1.0, -1.0), Level(1.0, 0.0, 1.0, -1.0)
    assert torch.equal(Prediction(velocity, "velocity").to_x0(x, noise_alone), x + velocity)
    assert torch.equal(Prediction(velocity, "velocity").to_epsilon(x, clean), x - velocity)


@pytest.mark.parametrize("path", ["Linear", "GVP", "VP"])
def test_conversions_are_the_published_ones(path: str) -> None:
    from ditkit.diffusion.schedule import named

    reference, rules = golden("sit_paths"), golden_manifest("sit")["sit_paths"]["tolerance"]["per_tensor_rtol"]
    flow = named(f"{path.lower()}-flow")
    x, out = reference["in.x"].double(), reference["in.model_out"].double()
    asked: dict[str, tuple[Kind, str]] = {
        "score_from_velocity": ("velocity", "score"),
        "noise_from_velocity": ("velocity", "epsilon"),
        "velocity_from_score": ("score", "velocity"),
        "ode_drift_from_noise_model": ("epsilon", "velocity"),
        "ode_drift_from_score_model": ("score", "velocity"),
        "score_from_noise_model": ("epsilon", "score"),
    }
    for name, (kind, wanted) in asked.items():
        levels = [flow.level_at(1 - float(t)) for t in reference["in.t"]]
        rows = [getattr(Prediction(out[i], kind), f"to_{wanted}")(x[i], level) for i, level in enumerate(levels)]
        assert_within(torch.stack(rows), reference[f"out.{path}.{name}"], rules[f"out.{path}.{name}"])


def test_a_learned_sigma_output_is_split_along_its_channels() -> None:
    output = torch.arange(2 * 6 * 4.0).reshape(2, 6, 4)
    prediction = Reading(variance=True).of(output)
    assert prediction.kind == "epsilon"
    assert prediction.variance is not None
    assert torch.equal(torch.cat([prediction.value, prediction.variance], dim=1), output)


def test_a_level_of_no_path_has_no_rates() -> None:
    assert math.isnan(Level.of_abar(0.5).d_alpha)
