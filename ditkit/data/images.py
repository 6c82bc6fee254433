"""Labelled pictures to train on: a folder of images per class, or a sheet of RGBA sprites drawn on white.

Shapes: N pictures, S side. A picture is uint8 (S, S, 3).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ditkit.data import unreadable
from ditkit.data.scenes import Sprites, load_sprites, sprite_on_white
from ditkit.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


class Pictures(Protocol):
    """Pictures by index, each in several augmented variants; variant 0 is the picture as it is, odd ones are mirrored."""

    @property
    def distinct(self) -> int:
        """How many variants of a picture differ from each other."""
        ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def picture(self, index: int, variant: int) -> np.ndarray: ...


@dataclass(frozen=True)
class SpritePictures:
    """Sprites on white, seven eighths of the side wide; variants from the third on are moved and resized a little."""

    sprites: Sprites
    side: int = 64
    distinct: int = 1000

    @property
    def labels(self) -> np.ndarray:
        return self.sprites.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.sprites.class_names

    def __len__(self) -> int:
        return len(self.sprites)

    def picture(self, index: int, variant: int) -> np.ndarray:
        size, dx, dy = self.side * 7 // 8, 0, 0
        if variant > 1:
            rng = np.random.default_rng((index, variant // 2))
            size += int(rng.integers(-4, 5)) // 2 * 2
            dx, dy = (int(move) for move in rng.integers(-2, 3, 2))
        return sprite_on_white(self.sprites, index, self.side, object_side=size, dx=dx, dy=dy, mirrored=variant % 2 == 1)


@dataclass(frozen=True)
class FolderPictures:
    """`root/<class>/<picture>`: resized to the short side and cropped from the centre."""

    paths: tuple[Path, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    side: int
    distinct: int = 2

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int, variant: int) -> np.ndarray:
        try:
            with Image.open(self.paths[index]) as file:
                image = centre_crop(file.convert("RGB"), self.side)
        except unreadable.PICTURE as error:
            raise DataError(f"cannot read the picture {self.paths[index]}: {error}") from error
        pixels = np.asarray(image)
        return pixels[:, ::-1] if variant % 2 else pixels


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """The largest centred square, at `side` pixels: halved while twice too large, then bicubic, as in ADM."""
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def load_pictures(path: str | Path, side: int) -> Pictures:
    """Open a sprite sheet (.npz) or a folder with one subfolder of images per class."""
    root = Path(path)
    if root.suffix == ".npz":
        return SpritePictures(load_sprites(root), side)
    if not root.is_dir():
        raise DataError(f"no data at {root}: give a folder with one subfolder of images per class, or an .npz sprite sheet")
    names = tuple(sorted(folder.name for folder in root.iterdir() if folder.is_dir()))
    found = [
        (file, label) for label, name in enumerate(names) for file in sorted((root / name).iterdir()) if file.suffix.lower() in SUFFIXES
    ]
    if not found:
        raise DataError(f"{root} holds no images: expected {root}/<class>/<image>.png (or {', '.join(sorted(SUFFIXES - {'.png'}))})")
    return FolderPictures(tuple(file for file, _ in found), np.array([label for _, label in found]), names, side)


def variants(pictures: Pictures, wanted: int, *, mirror: bool) -> range:
    """The first `wanted` variants, or as many as differ; without the mirrored ones unless `mirror`."""
    step = 1 if mirror else 2
    return range(0, min(wanted * step, pictures.distinct), step)


def files_digest(path: Path) -> str:
    """A name for the data as it is now: sha256 over the names, sizes and times of its files."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    facts = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()
