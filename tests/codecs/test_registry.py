from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ditkit.codecs.registry import CODECS, load_codec, save_residual
from ditkit.codecs.residual import ResidualAutoencoder
from ditkit.errors import CheckpointError, UnknownName
from ditkit.models.registry import SPECS
from tests.closeness import assert_close, evaluated


@pytest.fixture
def autoencoder() -> ResidualAutoencoder:
    torch.manual_seed(0)
    module = ResidualAutoencoder(widths=(8, 8, 16))
    torch.nn.init.normal_(module.kl.decoder.conv_out.weight, std=0.01)
    return module.eval()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_the_small_autoencoder_is_read_back_with_its_sizes_and_scale(
    tmp_path: Path, autoencoder: ResidualAutoencoder, dtype: torch.dtype | None
) -> None:
    save_residual(autoencoder, tmp_path / "ae.safetensors", scale=0.25, dtype=dtype)
    codec = load_codec("ae-emoji", str(tmp_path / "ae.safetensors"))
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    rounded = autoencoder.to(dtype).float()  # as it was written
    assert_close(codec.encode(images), rounded.encode(images)[0] * 0.25, evaluated(rounded))
    assert_close(codec.decode(torch.ones(1, 4, 4, 4)), rounded.decode(torch.full((1, 4, 4, 4), 4.0)), evaluated(rounded))
    assert (codec.factor, codec.channels, codec.scale) == (4, 4, 0.25)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_convolution_of_a_decoder_works_with_the_channels_last(
    tmp_path: Path, autoencoder: ResidualAutoencoder, dtype: torch.dtype
) -> None:
    save_residual(autoencoder, tmp_path / "ae.safetensors", scale=1.0)
    codec = load_codec("ae-emoji", str(tmp_path / "ae.safetensors")).to("cpu", dtype)
    module: Any = codec.module
    layouts: list[bool] = []

    def seen(convolution: torch.nn.Conv2d, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        layouts.append(all(each.is_contiguous(memory_format=torch.channels_last) for each in (convolution.weight, made)))

    for part in module.kl.decoder.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(seen)
    codec.decode(torch.ones(2, 4, 8, 8))
    assert len(layouts) > 8 and all(layouts)


def test_a_codec_is_frozen_but_lets_gradients_through_to_its_input(tmp_path: Path, autoencoder: ResidualAutoencoder) -> None:
    save_residual(autoencoder, tmp_path / "ae.safetensors", scale=1.0)
    codec = load_codec("ae-emoji", str(tmp_path / "ae.safetensors"))
    assert not any(parameter.requires_grad for parameter in codec.module.parameters())
    latents = torch.zeros(1, 4, 2, 2, requires_grad=True)
    codec.decode(latents).sum().backward()
    assert latents.grad is not None


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(
        CheckpointError, match=r"a\.safetensors is not the weights of ditkit's small autoencoder: KeyError: 'latent_channels'"
    ):
        load_codec("ae-emoji", str(tmp_path / "a.safetensors"))


def test_another_geometry_than_the_codecs_is_refused(tmp_path: Path) -> None:
    save_residual(ResidualAutoencoder(widths=(8, 8, 16), latent_channels=3), tmp_path / "ae.safetensors", scale=1.0)
    with pytest.raises(CheckpointError, match=r"makes 3 channels at 1/4 of the side; ae-emoji makes 4 at 1/4$"):
        load_codec("ae-emoji", str(tmp_path / "ae.safetensors"))


def test_an_unknown_codec_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no codec named 'sd-vae-ft-ena'; did you mean 'sd-vae-ft-ema'"):
        load_codec("sd-vae-ft-ena")


def test_without_a_network_the_file_and_the_option_are_named() -> None:
    with pytest.raises(CheckpointError) as caught:
        load_codec("sd-vae-ft-ema")
    assert str(caught.value) == (
        "cannot fetch diffusion_pytorch_model.safetensors of stabilityai/sd-vae-ft-ema from the hub "
        "(HF_HUB_OFFLINE is set); download it elsewhere and give codec.path=PATH"
    )


def test_random_codecs_need_no_file() -> None:
    codec = load_codec("ae-emoji", "random")
    assert codec.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 3, 8, 8)
    assert codec.origin == {"weights": "random"}


def test_every_registered_model_has_a_codec_of_its_geometry() -> None:
    for model in SPECS.values():
        codec = CODECS[model.codec]
        channels, *sides = model.sample_shape
        assert codec.channels == channels
        assert [side * codec.factor for side in sides] == ([model.points] if model.points else [model.image_size] * 2)


def test_clouds_are_their_own_latents() -> None:
    clouds = torch.randn(2, 3, 50)
    assert torch.equal(load_codec("points").decode(clouds), clouds)
