"""Every family at a size that runs in milliseconds, with weights that are all different from zero."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ditkit.models.dit import DiT, DiTParams
from ditkit.models.dit3d import DiT3D, DiT3DParams
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.prompts import Prompts
from ditkit.models.sit import SiT, SiTParams
from ditkit.models.uvit import UViT, UViTParams

DIT = DiTParams(width=32, depth=2, heads=2, patch=2, input_size=8, classes=5)
DIT3D = DiT3DParams(width=36, depth=2, heads=2, patch=2, input_size=8, classes=5)
PIXART = PixArtParams(width=24, depth=2, heads=2, patch=2, input_size=8, caption_width=10)
UVIT = UViTParams(width=32, depth=2, heads=2, patch=2, input_size=8, classes=5, null_class=True, conv=False)
SIT = SiTParams(width=32, depth=2, heads=2, patch=2, input_size=8, classes=5)
FAMILIES: dict[str, Any] = {
    "dit": (DiT, DIT),
    "dit without sigma": (DiT, DiTParams(width=32, depth=2, heads=2, patch=4, input_size=8, classes=5, learn_sigma=False)),
    "sit": (SiT, SIT),
    "sit of repa": (SiT, replace(SIT, learn_sigma=False, clock="noise", qk_norm=True)),
    "uvit": (UViT, UVIT),
    "uvit unconditional": (UViT, UViTParams(width=32, depth=2, heads=2, patch=2, input_size=8, channels=3)),
    "uvit with all options": (UViT, UViTParams(32, 2, 2, 2, 8, classes=5, null_class=True, qkv_bias=True, mlp_time_embed=True)),
    "dit3d": (DiT3D, DIT3D),
    "dit3d with all options": (DiT3D, replace(DIT3D, learn_sigma=True, window=3, window_blocks=(0,), relative_positions=True)),
    "pixart": (PixArt, PIXART),
    "pixart of many scales": (PixArt, replace(PIXART, micro_conditions=True)),
}


def tiny(name: str, seed: int = 0) -> Any:
    """A network of the family."""
    make, params = FAMILIES[name]
    return drawn(make(params), seed)


def drawn(model: Any, seed: int = 0) -> Any:
    """The network with every parameter drawn anew: gates and output layers start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter.shape[1:].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


def inputs(model: Any, batch: int = 3, seed: int = 1) -> tuple[Tensor, Tensor, Any]:
    """A latent (or a cloud), times and labels (or prepared prompts) for one evaluation."""
    generator = torch.Generator().manual_seed(seed)
    params = model.params
    places = (50,) if isinstance(params, DiT3DParams) else (params.input_size, params.input_size)
    x = torch.randn(batch, params.channels, *places, generator=generator)
    t = torch.rand(batch, generator=generator) * 999
    if isinstance(params, PixArtParams):
        return x, t, model.prepare(prompts(params, batch))
    return x, t, torch.randint(0, max(params.classes, 1), (batch,), generator=generator)


def prompts(params: PixArtParams, batch: int = 3, seed: int = 2, shape: tuple[int, int] = (8, 8)) -> Prompts:
    """Prompts of 1, 2, ... of at most 5 tokens, for latents of that shape."""
    features = torch.randn(batch, 5, params.caption_width, generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(5) <= torch.arange(batch)[:, None]).long()
    height, width = 8.0 * shape[0], 8.0 * shape[1]
    return Prompts(features, mask, torch.tensor([[height, width, height / width]]).expand(batch, -1))


def rows(y: Any, part: slice) -> Any:
    """Some of the labels, or of the prompts."""
    return y[part] if isinstance(y, Tensor) else type(y)(*(None if value is None else value[part] for value in y))
