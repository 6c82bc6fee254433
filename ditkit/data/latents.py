"""Pictures encoded once and kept on disk, so that training never runs the autoencoder.

Shapes: N pictures, V augmented variants, C h w latent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ditkit.data.images import Pictures
from ditkit.tensorfile import read_tensors, write_tensors

ENCODE_BATCH = 64


@dataclass(frozen=True)
class Latents:
    """Scaled latents (N, V, C, h, w) in float32 and the label of each picture (N,)."""

    values: Tensor
    labels: Tensor
    class_names: tuple[str, ...]


def encode_pictures(
    pictures: Pictures,
    encode: Callable[[Tensor], Tensor],
    variants: Sequence[int],
    cache: Path | None = None,
    on_encoded: Callable[[int], None] | None = None,
) -> Latents:
    """Encode every variant of every picture with `encode` ([-1, 1] (B, 3, S, S) -> (B, C, h, w)); reuse `cache` when it exists.

    The cache belongs to one data set, codec and choice of variants: the caller names it after them.
    """
    labels = torch.from_numpy(np.asarray(pictures.labels, dtype=np.int64))
    if cache is not None and cache.exists():
        return Latents(read_tensors(cache)["latents"], labels, pictures.class_names)
    places = [(index, variant) for index in range(len(pictures)) for variant in variants]
    parts: list[Tensor] = []
    for first in range(0, len(places), ENCODE_BATCH):
        batch = [pictures.picture(*place) for place in places[first : first + ENCODE_BATCH]]
        images = torch.from_numpy(np.stack(batch)).movedim(-1, 1).float() / 127.5 - 1
        parts.append(encode(images).float().cpu())
        if on_encoded:
            on_encoded(len(batch))
    values = torch.cat(parts).unflatten(0, (len(pictures), len(variants)))
    if cache is not None:
        write_tensors(cache, {"latents": values})
    return Latents(values, labels, pictures.class_names)
