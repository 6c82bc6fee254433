import pytest
import torch

from ditkit.diffusion.prediction import Kind, Prediction, split_learned_sigma
from tests.closeness import assert_close

ALPHA, SIGMA = 0.6, 0.8
X0, EPSILON = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
X = ALPHA * X0 + SIGMA * EPSILON
VALUES: dict[Kind, torch.Tensor] = {"epsilon": EPSILON, "sample": X0, "v": ALPHA * EPSILON - SIGMA * X0}


@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_of_prediction_means_the_same_sample_and_noise(kind: Kind) -> None:
    prediction = Prediction(VALUES[kind], kind)
    assert_close(prediction.to_x0(X, ALPHA, SIGMA), X0)
    assert_close(prediction.to_epsilon(X, ALPHA, SIGMA), EPSILON)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_a_half_precision_output_is_only_rounded_once(kind: Kind, half: torch.dtype) -> None:
    rounded = VALUES[kind].to(half)
    x = X.float()
    for convert in (Prediction.to_x0, Prediction.to_epsilon):
        got = convert(Prediction(rounded, kind), x, ALPHA, SIGMA)
        assert got.dtype == torch.float32
        assert torch.equal(got, convert(Prediction(rounded.float(), kind), x, ALPHA, SIGMA))


def test_a_learned_sigma_output_is_split_along_its_channels() -> None:
    output = torch.arange(2 * 6 * 4.0).reshape(2, 6, 4)
    prediction = split_learned_sigma(output)
    assert prediction.kind == "epsilon"
    assert prediction.variance is not None
    assert torch.equal(torch.cat([prediction.value, prediction.variance], dim=1), output)
