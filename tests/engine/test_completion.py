"""Given points stay where they are, and the others are made to go with them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS, ddpm
from ditkit.engine.completion import anchored, restored
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.errors import RequestError
from ditkit.models.registry import find
from tests.closeness import assert_close, close, evaluated
from tests.models.tiny import DIT3D, tiny

KNOWN = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def model() -> Model:
    spec = replace(find("dit3d-s-4-32"), name="tiny", params=DIT3D, points=30)
    return Model(spec, tiny("dit3d"), load_codec("points"), torch.device("cpu"))


def clouds(model: Model, request: SamplingRequest) -> Tensor:
    return torch.cat([batch.pictures for batch in sample(model, request)])


def test_the_network_sees_the_given_points_as_noisy_as_the_others() -> None:
    seen: list[Tensor] = []

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        seen.append(x)
        return Prediction(x)

    noise, x = torch.randn(2, 3, 30), torch.randn(2, 3, 30)
    anchored(denoise, KNOWN, noise, [Level(0.6, 0.8)])(x, 0)
    assert_close(seen[0][..., :10], 0.6 * KNOWN + 0.8 * noise[..., :10])
    assert torch.equal(seen[0][..., 10:], x[..., 10:])
    assert torch.equal(restored(x, KNOWN.expand(2, -1, -1))[1, :, :10], KNOWN)


@pytest.mark.parametrize("name", ["ddim", "dpm-solver++", "dpm-solver-2", "ddpm"])
def test_given_points_stay_and_change_the_others(model: Model, name: str) -> None:
    solver = ddpm(linear(), 4, variance="fixedsmall") if name == "ddpm" else SOLVERS[name](linear(), 4)
    request = SamplingRequest(labels=(0, 1, 2), seeds=(5, 6, 7), solver=solver, guidance=1.5, known=KNOWN, batch=2)
    made = clouds(model, request)
    assert torch.equal(made[..., :10], KNOWN.expand(3, -1, -1))
    free = clouds(model, replace(request, known=None))
    assert not close(made[..., 10:], free[..., 10:], evaluated(model.backbone, 4, 1.5))
    alone = clouds(model, replace(request, labels=(2,), seeds=(7,)))
    assert_close(alone[0], made[2], evaluated(model.backbone, 4, 1.5))


def test_points_given_as_noise_alone_do_nothing(model: Model) -> None:
    """At a level of pure noise the given points are those of the run itself."""
    noise = torch.randn(1, 3, 30)
    out = anchored(lambda x, _: Prediction(x), KNOWN, noise, [Level(0.0, 1.0)])(noise, 0)
    assert torch.equal(out.value, noise)


def test_a_cloud_that_is_whole_already_is_refused(model: Model) -> None:
    request = SamplingRequest(labels=(0,), seeds=(0,), solver=SOLVERS["ddim"](linear(), 2), known=torch.zeros(3, 30))
    with pytest.raises(RequestError, match=r"30 points are given and a cloud has 30; ask for more points in all$"):
        request.check_fits(model)
