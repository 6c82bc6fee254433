"""The one list of codecs, and loading one by name."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ditkit.codecs.codec import Codec
from ditkit.codecs.pixels import Pixels
from ditkit.codecs.points import Points
from ditkit.errors import CheckpointError, UnknownName
from ditkit.files.tensors import fingerprint, read_metadata, read_tensors, write_tensors
from ditkit.files.weights import RANDOM, WeightSource, locate

if TYPE_CHECKING:
    from ditkit.codecs.residual import ResidualAutoencoder

SD_SCALE, SDXL_SCALE = 0.18215, 0.13025


@dataclass(frozen=True)
class CodecSpec:
    """`scale` is what the latents are multiplied by unless the weight file says otherwise."""

    name: str
    kind: Literal["kl", "residual", "pixels", "points"]
    factor: int
    channels: int
    scale: float = 1.0
    weights: WeightSource = field(default_factory=WeightSource)


_ALL = [
    CodecSpec("ae-emoji", "residual", 4, 4, weights=WeightSource(asset="ae-emoji.safetensors", licence="Apache-2.0")),
    CodecSpec("sd-vae-ft-ema", "kl", 8, 4, SD_SCALE, WeightSource(hub="stabilityai/sd-vae-ft-ema", licence="MIT")),
    CodecSpec("sd-vae-ft-mse", "kl", 8, 4, SD_SCALE, WeightSource(hub="stabilityai/sd-vae-ft-mse", licence="MIT")),
    CodecSpec(
        "sdxl-vae", "kl", 8, 4, SDXL_SCALE, WeightSource(hub="PixArt-alpha/pixart_sigma_sdxlvae_T5_diffusers", licence="see its page")
    ),
    CodecSpec("pixels", "pixels", 1, 3),
    CodecSpec("points", "points", 1, 3),
]

CODECS: dict[str, CodecSpec] = {spec.name: spec for spec in _ALL}


def load_codec(name: str, path: str | None = None, revision: str | None = None) -> Codec:
    """The codec of that name, frozen, in float32 on the CPU.

    `path` (a file, a folder, a hub id or "random") takes the place of its published weights. Raises `UnknownName`, or `CheckpointError`
    for weights that are not there or do not fit.
    """
    if name not in CODECS:
        raise UnknownName("codec", name, CODECS)
    spec = CODECS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # weights that nobody gave are the same every time, and for every process
        codec = _LOADERS[spec.kind](spec, path, revision)
    if (codec.factor, codec.channels) != (spec.factor, spec.channels):
        raise CheckpointError(
            f"{path} makes {codec.channels} channels at 1/{codec.factor} of the side; {name} makes {spec.channels} at 1/{spec.factor}"
        )
    return codec


def load_autoencoder(folder: Path) -> Codec:
    """The autoencoder that lies in the vae/ of a pipeline's folder, of whatever factor, channels and scale it says; frozen, on the CPU."""
    spec = CodecSpec("vae", "kl", 0, 0)
    return _load_kl(spec, str(folder / "vae"), None)


def save_residual(module: "ResidualAutoencoder", path: Path, scale: float, dtype: torch.dtype | None = None) -> None:
    """Write the small autoencoder as `load_codec` reads it: safetensors whose metadata holds its sizes and the latents' scale."""
    config = module.kl.config
    words = {
        "ditkit": "1",
        "family": "residual-autoencoder",
        "widths": json.dumps(list(config["block_out_channels"])),
        "latent_channels": str(config["latent_channels"]),
        "layers": str(config["layers_per_block"]),
        "scale": repr(scale),
    }
    write_tensors(path, module.state_dict(), words, dtype)


def _load_pixels(spec: CodecSpec, path: str | None, revision: str | None) -> Codec:
    return Codec(spec.name, Pixels(), spec.factor, spec.channels, spec.scale)


def _load_points(spec: CodecSpec, path: str | None, revision: str | None) -> Codec:
    """With the shift and scale that the file of a cloud model's weights tells; clouds stay as they are where none does."""
    found = locate(spec.weights, path or RANDOM, revision, option="codec.path")
    points = Points.told_by(read_metadata(found.path)) if found else Points()
    return Codec(spec.name, points, spec.factor, spec.channels, spec.scale, {"mean": list(points.mean), "scale": points.scale})


def _load_kl(spec: CodecSpec, path: str | None, revision: str | None) -> Codec:
    from ditkit.codecs.vae import load_vae, random_vae

    found = locate(spec.weights, path, revision, option="codec.path")
    vae = random_vae(spec.scale) if found is None else load_vae(found.path, spec.scale)
    origin = {"weights": "random"}
    if found is not None:
        origin = {"weights": found.origin, "commit": found.commit, "fingerprint": fingerprint(vae.state_dict())}
    return Codec(spec.name, _frozen(vae), vae.factor, vae.channels, vae.scale, origin)


def _load_residual(spec: CodecSpec, path: str | None, revision: str | None) -> Codec:
    from ditkit.codecs.residual import FACTOR, ResidualAutoencoder

    found = locate(spec.weights, path, revision, option="codec.path")
    if found is None:
        module = ResidualAutoencoder(latent_channels=spec.channels)
        return Codec(spec.name, _frozen(module), FACTOR, spec.channels, spec.scale, {"weights": "random"})
    state, words = read_tensors(found.path), read_metadata(found.path)
    try:
        channels, scale = int(words["latent_channels"]), float(words["scale"])
        module = ResidualAutoencoder(tuple(json.loads(words["widths"])), channels, int(words["layers"]))
        module.load_state_dict({name: value.float() for name, value in state.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{found.path} is not the weights of ditkit's small autoencoder: {type(error).__name__}: {reason}") from error
    origin = {"weights": found.origin, "fingerprint": fingerprint(state)}
    return Codec(spec.name, _frozen(module), FACTOR, channels, scale, origin)


def _frozen(module: torch.nn.Module) -> Any:
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


_LOADERS: dict[str, Callable[[CodecSpec, str | None, str | None], Codec]] = {
    "kl": _load_kl,
    "residual": _load_residual,
    "pixels": _load_pixels,
    "points": _load_points,
}
