"""Pictures encoded once and kept on disk, so that training never runs the autoencoder.

Shapes: N pictures, V augmented variants, C h w latent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.data.images import Pictures
from ditkit.engine.transfers import sent
from ditkit.errors import DataError
from ditkit.files.atomic import write_atomically

ENCODE_BATCH = 64
SHARE = 0.25  # of a GPU's free memory, for the latents of a training


@dataclass(frozen=True)
class Latents:
    """Scaled latents (N, V, C, h, w) in float16, mapped from their file rather than read into memory, and labels (N,)."""

    values: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def draw(self, generator: torch.Generator, batch: int, rows: slice) -> tuple[Tensor, Tensor]:
        """Latents (rows, C, h, w), float32, and labels (rows,): these rows of a batch of pictures and variants drawn at random."""
        pictures, variants = self.values.shape[:2]
        picture = torch.randint(pictures, (batch,), generator=generator)
        variant = torch.randint(variants, (batch,), generator=generator)
        picture, variant = (sent(places[rows], self.values.device) for places in (picture, variant))
        return self.values[picture, variant].float(), self.labels[picture]

    def on(self, device: torch.device) -> "Latents":
        """The same on a GPU, if they take no more than a quarter of the memory that is free there; elsewhere they stay where they are."""
        if device.type != "cuda" or self.values.nbytes > torch.cuda.mem_get_info(device)[0] * SHARE:
            return self
        return replace(self, values=self.values.to(device), labels=self.labels.to(device))


def encode_pictures(
    pictures: Pictures,
    encode: Callable[[Tensor], Tensor],
    variants: Sequence[int],
    cache: Path | None = None,
    on_encoded: Callable[[int], None] | None = None,
) -> Latents:
    """Encode every variant of every picture with `encode` ([-1, 1] (B, 3, S, S) -> (B, C, h, w)); reuse `cache` (.npy) when it exists.

    The cache belongs to one data set, codec and choice of variants: the caller names it after them.
    """
    labels = torch.from_numpy(np.asarray(pictures.labels, dtype=np.int64))
    places = [(index, variant) for index in range(len(pictures)) for variant in variants]
    batches = _encoded(pictures, encode, places, on_encoded)
    if cache is None:
        values = torch.cat(list(batches)).unflatten(0, (len(pictures), len(variants)))
    else:
        if not cache.exists():
            write_atomically(cache, lambda part: _write(batches, part, (len(pictures), len(variants))))
        values = _map(cache)
    return Latents(values, labels, pictures.class_names)


def _encoded(
    pictures: Pictures, encode: Callable[[Tensor], Tensor], places: Sequence[tuple[int, int]], on_encoded: Callable[[int], None] | None
) -> Iterator[Tensor]:
    """The latents of these (picture, variant) places, batch by batch."""
    for first in range(0, len(places), ENCODE_BATCH):
        batch = [pictures.picture(*place) for place in places[first : first + ENCODE_BATCH]]
        images = from_uint8(torch.from_numpy(np.stack(batch)).movedim(-1, 1))
        yield encode(images).to("cpu", torch.float16)
        if on_encoded:
            on_encoded(len(batch))


def _write(batches: Iterator[Tensor], path: Path, leading: tuple[int, int]) -> None:
    """All batches into one .npy of shape (*leading, C, h, w), never holding more than one in memory."""
    with path.open("wb") as file:
        for number, batch in enumerate(batches):
            if number == 0:
                shape = (*leading, *batch.shape[1:])
                np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
            file.write(batch.numpy().tobytes())


def _map(path: Path) -> Tensor:
    try:
        return torch.from_numpy(np.load(path, mmap_mode="c"))
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it and it is made again") from error
