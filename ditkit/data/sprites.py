"""RGBA cut-outs of things, that pictures are composed from.

Shapes: N sprites, S sprite side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ditkit.errors import DataError
from ditkit.files import unreadable
from ditkit.files.arrays import check_arrays


@dataclass(frozen=True)
class Sprites:
    """RGBA cut-outs with one label each: `rgba` uint8 (N, S, S, 4) with straight alpha, `labels` (N,)."""

    rgba: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    styles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


def load_sprites(path: str | Path) -> Sprites:
    """Read a sprite sheet: an .npz with `images`, `labels`, `class_names`, `sets` and `set_names`. Raises `DataError`."""
    if not Path(path).exists():
        raise DataError(f"no data at {path}: give an .npz sprite sheet")
    check_arrays(Path(path), DataError)
    try:
        with np.load(path, allow_pickle=False) as file:
            sprites = Sprites(
                rgba=file["images"],
                labels=file["labels"].astype(np.int64),
                class_names=tuple(str(name) for name in file["class_names"]),
                styles=tuple(str(file["set_names"][index]) for index in file["sets"]),
            )
    except unreadable.ARRAYS as error:
        raise DataError(f"{path} is not a sprite sheet: {unreadable.reason(error)}") from error
    shape = sprites.rgba.shape
    if sprites.rgba.dtype != np.uint8 or len(shape) != 4 or shape[-1] != 4 or shape[:1] != sprites.labels.shape or not len(sprites):
        raise DataError(f"{path} is not a sprite sheet: images are {sprites.rgba.dtype} {shape}, not uint8 (N, S, S, 4) with N labels")
    return sprites


def of_styles(sprites: Sprites, names: Sequence[str]) -> Sprites:
    """The sprites drawn in these styles, labelled anew: a class that none of them draws is left out."""
    unknown = [name for name in names if name not in sprites.styles]
    if unknown:
        there = ", ".join(dict.fromkeys(sprites.styles))
        raise DataError(f"there are no drawings in the style {', '.join(unknown)}, but in {there}: say which with scenes.styles=")
    kept = [index for index, style in enumerate(sprites.styles) if style in names]
    drawn, labels = np.unique(sprites.labels[kept], return_inverse=True)
    class_names = tuple(sprites.class_names[label] for label in drawn)
    return Sprites(sprites.rgba[kept], labels, class_names, tuple(sprites.styles[index] for index in kept))


def of_classes(sprites: Sprites, names: Sequence[str]) -> Sprites:
    """The sprites of these classes, which are labelled in the order given."""
    unknown = [name for name in names if name not in sprites.class_names]
    if unknown:
        there = ", ".join(sprites.class_names)
        raise DataError(f"there are no drawings of {', '.join(unknown)}, but of {there}: say which with scenes.nouns=")
    labels = np.full(len(sprites.class_names), -1)
    labels[[sprites.class_names.index(name) for name in names]] = np.arange(len(names))
    kept = np.flatnonzero(labels[sprites.labels] >= 0)
    styles = tuple(sprites.styles[index] for index in kept)
    return Sprites(sprites.rgba[kept], labels[sprites.labels[kept]], tuple(names), styles)
