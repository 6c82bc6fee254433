"""diffusers' AutoencoderKL, from a folder or a single file in diffusers' layout.

Shapes: B batch, H W picture, C latent channels, h w latent.
"""

import inspect
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from ditkit.errors import CheckpointError
from ditkit.files.hub import WEIGHTS
from ditkit.files.tensors import State, read_tensors

SD_CONFIG = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # names in files from before 2023


class VAE(nn.Module):
    """AutoencoderKL with ditkit's verbs."""

    def __init__(self, kl: AutoencoderKL) -> None:
        super().__init__()
        self.kl = kl

    @property
    def factor(self) -> int:
        return 2 ** (len(self.kl.config["block_out_channels"]) - 1)

    @property
    def channels(self) -> int:
        return self.kl.config["latent_channels"]

    @property
    def scale(self) -> float:
        return self.kl.config["scaling_factor"]

    def encode(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        moments = self.kl.encoder(images_B3HW)
        mean, log_variance = (moments if self.kl.quant_conv is None else self.kl.quant_conv(moments)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, latents_BChw: Tensor) -> Tensor:
        return self.kl.decoder(latents_BChw if self.kl.post_quant_conv is None else self.kl.post_quant_conv(latents_BChw))


def random_vae(scale: float) -> VAE:
    """Stable Diffusion's autoencoder with fresh weights."""
    return VAE(AutoencoderKL(**SD_CONFIG, scaling_factor=scale))


def load_vae(path: Path, scale: float) -> VAE:
    """An AutoencoderKL from its folder, a pipeline's folder, or a single file, whose sizes are then told from the shapes.

    `scale` is what its latents are multiplied by where its configuration does not say, or is not there.
    """
    file = _weight_file(path)
    state = _modern_names(read_tensors(file))
    beside = file.with_name("config.json")
    config = _config(beside) if path.is_dir() and beside.exists() else None
    known = inspect.signature(AutoencoderKL.__init__).parameters
    try:
        numbers = {"scaling_factor": scale, **(infer_config(state) if config is None else config)}
        kl = AutoencoderKL(**{name: value for name, value in numbers.items() if name in known})
    except (KeyError, ValueError, TypeError, IndexError) as error:
        where = file if config is None else beside
        raise CheckpointError(f"{where} is not that of an autoencoder in diffusers' layout: {type(error).__name__}: {error}") from error
    _load(kl, state, file)
    return VAE(kl)


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """AutoencoderKL's numbers from the shapes of its weights.

    They do not tell the number of norm groups: it is taken as the largest that divides all widths, at most 32. Nor the scale.
    """
    levels = len({match[1] for name in state if (match := re.match(r"encoder\.down_blocks\.(\d+)\.", name))})
    widths = tuple(state[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"].shape[0] for level in range(levels))
    return {
        "in_channels": state["encoder.conv_in.weight"].shape[1],
        "out_channels": state["decoder.conv_out.weight"].shape[0],
        "latent_channels": state["decoder.conv_in.weight"].shape[1],
        "block_out_channels": widths,
        "layers_per_block": sum(bool(re.match(r"encoder\.down_blocks\.0\.resnets\.\d+\.conv1\.weight", name)) for name in state),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "norm_num_groups": math.gcd(32, *widths),
        "mid_block_add_attention": any(".mid_block.attentions." in name for name in state),
        "use_quant_conv": "quant_conv.weight" in state,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
    }


def _weight_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    folder = path / "vae" if (path / "vae").is_dir() else path
    for name in WEIGHTS:
        if (folder / name).exists():
            return folder / name
    raise CheckpointError(f"{path} is not a diffusers autoencoder: it has no {WEIGHTS[0]} or {WEIGHTS[1]}, nor a vae/ with one")


def _config(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error


def _modern_names(state: State) -> State:
    """The attention layers under today's names, as matrices: Stable Diffusion's published files still have the first ones."""

    def renamed(name: str) -> str:
        return re.sub(r"(attentions\.\d+)\.(query|key|value|proj_attn)\.", lambda match: f"{match[1]}.{OLD_ATTENTION[match[2]]}.", name)

    def matrix(name: str, value: Tensor) -> Tensor:
        return value[:, :, 0, 0] if ".attentions." in name and value.ndim == 4 else value

    return {renamed(name): matrix(name, value) for name, value in state.items()}


def _load(kl: AutoencoderKL, state: State, file: Path) -> None:
    wanted = kl.state_dict()
    problems = {
        "missing": wanted.keys() - state.keys(),
        "unexpected": state.keys() - wanted.keys(),
        "misshapen": {name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape},
    }
    found = "; ".join(f"{len(names)} {kind} ({min(names)}{', ...' if len(names) > 1 else ''})" for kind, names in problems.items() if names)
    if found:
        raise CheckpointError(f"{file} does not fit an autoencoder of widths {kl.config['block_out_channels']}: {found}")
    kl.load_state_dict({name: value.to(wanted[name].dtype) for name, value in state.items()})
