import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor

from ditkit.codecs.registry import load_codec
from ditkit.codecs.vae import OLD_ATTENTION, SD_CONFIG, infer_config, load_vae
from ditkit.errors import CheckpointError
from tests.closeness import assert_close, evaluated
from tests.golden_files import golden, golden_json
from tests.saved_pipelines import autoencoder

CONFIG = {"_class_name": "AutoencoderKL", "sample_size": 64, "act_fn": "silu", "in_channels": 3, "out_channels": 3}


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return golden("extra_vae")


@pytest.fixture(scope="module")
def weights(reference: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[3:]: value for name, value in reference.items() if name.startswith("sd.")}


def config() -> dict[str, Any]:
    levels = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    return {**CONFIG, **golden_json("extra_vae")["config"], **levels}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, Tensor]) -> Path:
    path = tmp_path_factory.mktemp("vae") / "vae.safetensors"
    save_file(weights, path)
    write_config(path.parent)
    return path


def write_config(folder: Path) -> None:
    """Shapes do not tell how many groups the norms of these widths have."""
    (folder / "config.json").write_text(json.dumps(config()))


def test_a_single_file_reproduces_the_reference(file: Path, reference: dict[str, Tensor]) -> None:
    codec: Any = load_codec("sd-vae-ft-ema", str(file))
    encoded, decoded = evaluated(codec.module.kl.encoder), evaluated(codec.module.kl.decoder)
    assert_close(codec.decode(reference["in.latents"]), reference["out.decoded"], decoded)
    assert_close(codec.encode(reference["in.image"]), 0.18215 * reference["out.posterior_mean"], encoded)
    noise = torch.randn_like(reference["in.latents"])
    sample = reference["out.posterior_mean"] + (0.5 * reference["out.posterior_logvar"]).exp() * noise
    assert_close(codec.encode(reference["in.image"], noise), 0.18215 * sample, encoded)
    picture = (codec.decode(reference["in.latents"]) / 2 + 0.5).clamp(0, 1)
    assert_close(picture, reference["out.image_0_1"], decoded)
    assert (codec.origin["weights"], codec.origin["commit"], len(codec.origin["fingerprint"])) == (f"file:{file}", None, 64)


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"])
@pytest.mark.parametrize("inside", ["", "vae"])
def test_so_does_a_folder_with_its_own_scale(
    tmp_path: Path, reference: dict[str, Tensor], weights: dict[str, Tensor], name: str, inside: str
) -> None:
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / name) if name.endswith("safetensors") else torch.save(weights, folder / name)
    (folder / "config.json").write_text(json.dumps({**config(), "scaling_factor": 0.5}))
    codec: Any = load_codec("sd-vae-ft-mse", str(tmp_path))
    assert_close(codec.decode(reference["in.latents"] / 0.18215 * 0.5), reference["out.decoded"], evaluated(codec.module.kl.decoder))


def test_the_sizes_of_stable_diffusions_autoencoder_are_told_from_the_shapes() -> None:
    with torch.device("meta"):
        known = AutoencoderKL(**SD_CONFIG)
    inferred = infer_config(known.state_dict(), Path("vae.safetensors"))
    assert inferred == {name: known.config[name] for name in inferred}
    assert inferred["norm_num_groups"] == 32


def test_an_autoencoder_of_other_widths_asks_for_its_configuration(tmp_path: Path) -> None:
    kl: Any = autoencoder(block_out_channels=(32, 64), norm_num_groups=8)
    kl.save_pretrained(tmp_path / "vae")
    bare = (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").rename(tmp_path / "vae.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_vae(bare, 1.0)
    line = "does not say how many groups the norms of its widths (32, 64) have; put its config.json beside it"
    assert str(caught.value) == f"{bare} {line}"
    shutil.copy(tmp_path / "vae" / "config.json", tmp_path)
    latents = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        assert torch.equal(load_vae(bare, 1.0).decode(latents), kl.eval().decode(latents).sample)


def test_a_bare_file_is_scaled_as_its_codec_says(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = {name: torch.zeros(value.shape, device="cpu") for name, value in AutoencoderKL(**SD_CONFIG).state_dict().items()}
    save_file(state, tmp_path / "sdxl.safetensors")
    assert load_vae(tmp_path / "sdxl.safetensors", 0.13025).scale == 0.13025


@pytest.mark.parametrize("how", [{"variant": "fp16"}, {"max_shard_size": "40KB"}, {"safe_serialization": False}])
def test_every_layout_that_diffusers_writes_is_read(tmp_path: Path, how: dict[str, Any]) -> None:
    kl: Any = autoencoder()
    kl.save_pretrained(tmp_path, **how)
    assert not (tmp_path / "diffusion_pytorch_model.safetensors").exists()
    latents = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        assert torch.equal(load_vae(tmp_path, 1.0).decode(latents), kl.decode(latents).sample)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"_class_name": "AutoencoderTiny"}, "is that of a AutoencoderTiny; pictures are coded by an AutoencoderKL"),
        ({"shift_factor": 0.06}, "says shift_factor = 0.06, which is not known of an AutoencoderKL for this kind of model"),
        ({"scaling_factor": 0}, "says scaling_factor = 0, which is no number above 0"),
        ({"scaling_factor": None}, "says scaling_factor = null, which is no number above 0"),
        ({"scaling_factor": "0.2"}, 'says scaling_factor = "0.2", which is no number above 0'),
        ({"scaling_factor": -1}, "says scaling_factor = -1, which is no number above 0"),
        ({"latents_mean": [0.1] * 4}, "says latents_mean = [0.1, 0.1, 0.1, 0.1], which is not known of an AutoencoderKL"),
        ({"layers_per_block": 10**9}, "says layers_per_block = 1000000000, and the weights beside it have "),
        ({"block_out_channels": [8, 10**7]}, "says block_out_channels = [8, 10000000], and the weights beside it have ["),
        ({"latent_channels": 16}, "says latent_channels = 16, and the weights beside it have 4"),
        ({"use_quant_conv": False}, "says use_quant_conv = false, and the weights beside it have true"),
        ({"norm_num_groups": 0}, "is not that of an autoencoder in diffusers' layout: ZeroDivisionError: "),
        ({"act_fn": "nosuch"}, "is not that of an autoencoder in diffusers' layout: ValueError: "),
        ({"quantization_config": {"load_in_8bit": True}}, 'says quantization_config = {"load_in_8bit": true}, which is not known of'),
    ],
)
def test_a_configuration_that_cannot_be_honoured_is_refused_by_name(
    tmp_path: Path, weights: dict[str, Tensor], words: dict[str, Any], line: str
) -> None:
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**config(), **words}))
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/config\.json {re.escape(line)}"):
        load_vae(tmp_path, 1.0)


def test_the_names_of_the_first_published_files_are_understood(
    tmp_path: Path, reference: dict[str, Tensor], weights: dict[str, Tensor]
) -> None:
    def older(name: str) -> str:
        for old, new in OLD_ATTENTION.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        return name

    renamed = {
        older(name): value[:, :, None, None] if "attentions.0.to_" in name and value.ndim == 2 else value for name, value in weights.items()
    }
    assert "decoder.mid_block.attentions.0.proj_attn.weight" in renamed
    torch.save(renamed, tmp_path / "vae.bin")
    write_config(tmp_path)
    codec: Any = load_codec("sd-vae-ft-ema", str(tmp_path / "vae.bin"))
    assert_close(codec.decode(reference["in.latents"]), reference["out.decoded"], evaluated(codec.module.kl.decoder))


def test_half_precision_files_load(tmp_path: Path, reference: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    for name, rounded in {"half": Tensor.half, "single": lambda value: value.half().float()}.items():
        save_file({key: rounded(value) for key, value in weights.items()}, tmp_path / f"{name}.safetensors")
    write_config(tmp_path)
    half, single = (load_codec("sd-vae-ft-ema", str(tmp_path / f"{name}.safetensors")) for name in ("half", "single"))
    assert torch.equal(half.decode(reference["in.latents"]), single.decode(reference["in.latents"]))


def test_a_damaged_autoencoder_says_what_is_wrong(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    broken = {**weights, "extra": torch.ones(1), "decoder.conv_norm_out.bias": torch.ones(3)}
    del broken["quant_conv.bias"]
    save_file(broken, tmp_path / "broken.safetensors")
    write_config(tmp_path)
    expected = (
        r"broken\.safetensors does not fit an autoencoder of widths .*16, 24, 32, 32.*: 1 missing \(quant_conv\.bias\); "
        r"1 unexpected \(extra\); 1 misshapen \(decoder\.conv_norm_out\.bias\)$"
    )
    with pytest.raises(CheckpointError, match=expected):
        load_vae(tmp_path / "broken.safetensors", 0.5)


def test_what_is_no_autoencoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a diffusers autoencoder: it has no diffusion_pytorch_model"):
        load_vae(tmp_path, 0.5)
    save_file({"blocks.0": torch.ones(1)}, tmp_path / "dit.safetensors")
    with pytest.raises(
        CheckpointError,
        match=r"dit\.safetensors is not that of an autoencoder in diffusers' layout: KeyError: '\w+coder\.conv_\w+\.weight'",
    ):
        load_vae(tmp_path / "dit.safetensors", 0.5)


def test_a_configuration_of_something_else_is_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text('{"down_block_types": ["NoSuchBlock"]}')
    with pytest.raises(
        CheckpointError, match=r"config\.json is not that of an autoencoder in diffusers' layout: ValueError: .*NoSuchBlock"
    ):
        load_vae(tmp_path, 0.5)


def test_a_configuration_that_is_no_json_is_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(CheckpointError, match=r"config\.json is not readable JSON"):
        load_vae(tmp_path, 0.5)
