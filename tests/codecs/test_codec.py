import pytest
import torch
from torch import Tensor, nn

from ditkit.codecs import codec as codec_module
from ditkit.codecs.codec import Codec, to_uint8
from ditkit.codecs.pixels import Pixels
from ditkit.errors import RequestError
from tests.closeness import assert_close


class Halves(nn.Module):
    """Averages 2x2 pixels of every channel; the posterior's deviation is 3. Notes how many pictures come at once."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.batches: list[int] = []

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.batches.append(len(images))
        mean = nn.functional.avg_pool2d(images, 2) * self.weight
        return mean, torch.full_like(mean, 3.0).square().log()

    def decode(self, latents: Tensor) -> Tensor:
        self.batches.append(len(latents))
        return nn.functional.interpolate(latents * self.weight, scale_factor=2)


@pytest.fixture
def codec() -> Codec:
    return Codec("halves", Halves().requires_grad_(False), factor=2, channels=3, scale=0.5)


def test_latents_are_the_scaled_mean(codec: Codec) -> None:
    assert torch.equal(codec.encode(torch.full((2, 3, 4, 6), 0.8)), torch.full((2, 3, 2, 3), 0.4))
    assert codec.latent_shape(4, 6) == (3, 2, 3)


def test_with_noise_they_are_a_sample_of_the_posterior(codec: Codec) -> None:
    noise = torch.randn(2, 3, 2, 3)
    assert_close(codec.encode(torch.full((2, 3, 4, 6), 0.8), noise), 0.5 * (0.8 + 3 * noise))


def test_decoding_undoes_the_scale(codec: Codec) -> None:
    images = torch.rand(2, 3, 1, 1).expand(2, 3, 4, 6)
    assert_close(codec.decode(codec.encode(images)), images)


def test_a_large_batch_goes_through_in_slices(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    images, noise = torch.rand(5, 3, 4, 4), torch.randn(5, 3, 2, 2)
    whole = codec.decode(codec.encode(images, noise))
    monkeypatch.setattr(codec_module, "SLICE_PIXELS", 2 * 4 * 4)
    assert torch.equal(codec.decode(codec.encode(images, noise)), whole)
    assert isinstance(codec.module, Halves)
    assert codec.module.batches == [5, 5, 2, 2, 1, 2, 2, 1]


def test_one_picture_larger_than_a_slice_still_goes_through(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_module, "SLICE_PIXELS", 1)
    assert codec.decode(torch.zeros(2, 3, 2, 2)).shape == (2, 3, 4, 4)


def test_pictures_that_do_not_fit_the_factor_are_refused(codec: Codec) -> None:
    with pytest.raises(RequestError, match="halves codes pictures whose sides are multiples of 2, not 4x5"):
        codec.encode(torch.zeros(1, 3, 4, 5))


def test_pictures_come_out_in_single_precision_whatever_the_network_runs_in(codec: Codec) -> None:
    half = codec.to("cpu", torch.bfloat16)
    assert half.encode(torch.zeros(1, 3, 2, 2)).dtype == torch.float32
    assert half.decode(torch.zeros(1, 3, 1, 1, dtype=torch.bfloat16)).dtype == torch.float32


def test_the_codec_of_pixel_models_changes_nothing() -> None:
    codec, images = Codec("pixels", Pixels(), 1, 3, 1.0), torch.randn(2, 3, 5, 7)
    assert torch.equal(codec.encode(images, torch.randn_like(images)), images)
    assert torch.equal(codec.decode(images), images)
    assert codec.latent_shape(5, 7) == (3, 5, 7)


def test_pictures_become_bytes_by_the_published_rule() -> None:
    values = torch.tensor([-2.0, -1.0, -0.9999, 0.0, 0.5, 0.9999, 1.0, 7.0])
    expected = [0, 0, 0, 128, 191, 255, 255, 255]  # clamp(127.5 x + 128, 0, 255), truncated
    assert to_uint8(values).tolist() == expected
    assert to_uint8(values).dtype == torch.uint8
