"""Cutting boxes out of a latent and putting them back.

Shapes: B samples, C channels, h w latent.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ditkit.grounding.regions import Region


def crop(x_BChw: Tensor, region: Region) -> Tensor:
    return x_BChw[..., region.top : region.bottom, region.left : region.right]


def transplanted(x_BChw: Tensor, patches: Iterable[tuple[Region, Tensor]], weight: float = 1.0) -> Tensor:
    """x with `weight` of the patches in their regions, one after the other: where they overlap, the last one lies on top."""
    result = x_BChw.clone()
    for region, patch_BChw in patches:
        place = crop(result, region)
        place.copy_(patch_BChw if weight == 1 else torch.lerp(place, patch_BChw, weight))
    return result
