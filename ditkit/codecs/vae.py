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
from ditkit.files.folders import elsewhere, weight_files
from ditkit.files.hub import WEIGHTS
from ditkit.files.json_object import read_object
from ditkit.files.tensors import State, read_tensors
from ditkit.files.wrappers import unwrapped

SD_CONFIG = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
SD_GROUPS = 32
SD_SCALE = 0.18215
CLASS = "AutoencoderKL"
NOT_HONOURED = ("shift_factor", "latents_mean", "latents_std")  # that other models' latents are moved by
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
    """An AutoencoderKL from its folder, a pipeline's folder, or a single file.

    Its sizes are those of the config.json beside it, else told from the shapes, and what takes its latents to unit variance is `scale`.
    """
    files = _weight_files(path)
    file = files[0]
    state: State = {}
    for part in files:
        state |= read_tensors(part)
    state = _modern_names(unwrapped(state))
    beside = file.with_name("config.json")
    config = read_object(beside) if beside.exists() else None
    if config is not None and path.is_file() and config.get("_class_name") != CLASS:  # somebody else's
        config = None
    try:
        numbers = {"scaling_factor": scale, **infer_config(state, file)} if config is None else _known(config, beside)
        if config is not None:
            _check_stated(numbers, state, beside)
        kl = AutoencoderKL(**numbers)
    except (KeyError, ValueError, TypeError, IndexError, ArithmeticError, AttributeError) as error:
        where = file if config is None else beside
        raise CheckpointError(f"{where} is not that of an autoencoder in diffusers' layout: {type(error).__name__}: {error}") from error
    _load(kl, state, file)
    return VAE(kl).eval()


def infer_config(state: Mapping[str, Tensor], file: Path) -> dict[str, Any]:
    """AutoencoderKL's numbers from the shapes of its weights.

    They do not tell the number of norm groups, which Stable Diffusion's autoencoders alone are known to have 32 of: raises
    `CheckpointError` that asks for the configuration of any other.
    """
    numbers = _shown(state)
    if (widths := numbers["block_out_channels"]) != SD_CONFIG["block_out_channels"]:
        raise CheckpointError(f"{file} does not say how many groups the norms of its widths {widths} have; put its config.json beside it")
    levels = len(widths)
    types = {"down_block_types": ("DownEncoderBlock2D",) * levels, "up_block_types": ("UpDecoderBlock2D",) * levels}
    return {**numbers, **types, "norm_num_groups": SD_GROUPS}


def _shown(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the shapes of the weights tell; raises `KeyError` for those of no autoencoder."""
    levels = len({match[1] for name in state if (match := re.match(r"encoder\.down_blocks\.(\d+)\.", name))})
    widths = tuple(state[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"].shape[0] for level in range(levels))
    return {
        "in_channels": state["encoder.conv_in.weight"].shape[1],
        "out_channels": state["decoder.conv_out.weight"].shape[0],
        "latent_channels": state["decoder.conv_in.weight"].shape[1],
        "block_out_channels": widths,
        "layers_per_block": sum(bool(re.match(r"encoder\.down_blocks\.0\.resnets\.\d+\.conv1\.weight", name)) for name in state),
        "mid_block_add_attention": any(".mid_block.attentions." in name for name in state),
        "use_quant_conv": "quant_conv.weight" in state,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
    }


def _check_stated(numbers: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> None:
    """Raise `CheckpointError` for numbers of a configuration that are not those of its weights, before anything is made of them."""
    scale = numbers.get("scaling_factor", SD_SCALE)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise CheckpointError(f"{path} says scaling_factor = {json.dumps(scale)[:80]}, which is no number above 0")
    for name, real in _shown(state).items():
        said = numbers.get(name, real)
        if (tuple(said) if isinstance(said, list) else said) != real:
            shown = json.dumps(said)[:80]
            raise CheckpointError(f"{path} says {name} = {shown}, and the weights beside it have {json.dumps(real)}")


def _weight_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = weight_files(path / "vae" if (path / "vae").is_dir() else path)
    if not found:
        lacks = f"it has no {WEIGHTS[0]} or {WEIGHTS[1]}, nor a vae/ with one"
        raise CheckpointError(f"{path} is not a diffusers autoencoder: {lacks}{elsewhere(path)}")
    return found


def _known(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What AutoencoderKL is made of; raises `CheckpointError` for another class and for words that have an effect here or in no place."""
    if config.get("_class_name", CLASS) != CLASS:
        raise CheckpointError(f"{path} is that of a {config['_class_name']}; pictures are coded by an {CLASS}")
    known = inspect.signature(AutoencoderKL.__init__).parameters
    for name, value in config.items():
        if value not in (None, False) and not name.startswith("_") and (name not in known or name in NOT_HONOURED):
            raise CheckpointError(f"{path} says {name} = {json.dumps(value)[:80]}, which is not known of an {CLASS} for this kind of model")
    return {name: value for name, value in config.items() if name in known}


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
