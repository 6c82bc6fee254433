"""Composed pictures encoded once and kept on disk, so that training seldom runs the autoencoder.

Shapes: B pictures, C h w latent, L tokens of a caption.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ditkit.errors import OutputError


class Kind(NamedTuple):
    """What decides a picture beside its number: its sides in pixels, and the shares of its `Mixture`."""

    height: int
    width: int
    filling: float
    white: float

    def __str__(self) -> str:
        return f"{self.height}x{self.width}-{self.filling:g}-{self.white:g}"


Picture = tuple[Tensor, Tensor]
"""A latent (C, h, w) and the tokens (L,) of its caption."""


class Pool:
    """The first `size` pictures of every kind: each is drawn when it is first asked for, and read from `folder` from then on.

    So a picture depends on its kind and number alone, whatever is on the disk: one that is not there, or damaged, is drawn again.
    Latents are kept in float16. Raises `OutputError` where the folder cannot be written or is full.
    """

    def __init__(self, folder: Path, size: int, draw: Callable[[Kind, int], Picture]) -> None:
        self.folder, self.size, self.draw = folder, size, draw
        self._records: dict[Kind, np.dtype] = {}

    def take(self, kind: Kind, numbers: Sequence[int]) -> Picture:
        """Latents (B, C, h, w), float32, and tokens (B, L), int64, of these pictures."""
        if kind not in self._records:
            latent, tokens = self.draw(kind, 0)
            self._records[kind] = np.dtype([("check", "<u4"), ("latent", "<f2", latent.shape), ("tokens", "<i2", tokens.shape)])
        path = self.folder / f"{kind}.pool"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.touch()
            with path.open("r+b") as file:
                pictures = np.concatenate([self._picture(file, kind, number) for number in numbers])
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        return torch.from_numpy(pictures["latent"].astype(np.float32)), torch.from_numpy(pictures["tokens"].astype(np.int64))

    def _picture(self, file: BinaryIO, kind: Kind, number: int) -> np.ndarray:
        """The record (1,) in its place in the file, which is as long as its last picture and has holes for those not asked for yet."""
        record = self._records[kind]
        file.seek(number * record.itemsize)
        found = file.read(record.itemsize)
        if len(found) == record.itemsize and (picture := np.frombuffer(found, record))["check"] == _checksum(picture):
            return picture
        picture = np.zeros(1, record)
        picture["latent"], picture["tokens"] = (values.numpy() for values in self.draw(kind, number))
        picture["check"] = _checksum(picture)
        file.seek(number * record.itemsize)
        file.write(picture.tobytes())
        return picture


def _checksum(picture: np.ndarray) -> int:
    return zlib.crc32(picture["latent"].tobytes() + picture["tokens"].tobytes())
