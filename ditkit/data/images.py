"""Labelled pictures to train on: a folder of images per class, or a sheet of RGBA sprites drawn on white.

Shapes: N pictures, S side. A picture is uint8 (S, S, 3).
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ditkit.data.pictures import LIKE, WHITE, Note, find_pictures, ignore, is_picture, left_out, once, read_picture
from ditkit.data.scenes import sprite_on
from ditkit.data.sprites import Sprites, load_sprites
from ditkit.errors import DataError
from ditkit.files.listing import files_in, folders_in, named

SPLITS = {"train", "training", "val", "valid", "validation", "test"}


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

    @property
    def files(self) -> Sequence[Path]:
        """What they are read from."""
        ...

    def __len__(self) -> int: ...

    def picture(self, index: int, variant: int) -> np.ndarray: ...


@dataclass(frozen=True)
class SpritePictures:
    """Sprites on one colour, seven eighths of the side wide; variants from the third on are moved and resized a little."""

    sprites: Sprites
    side: int = 64
    background: str = WHITE
    files: tuple[Path, ...] = ()
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
        place = {"object_side": size, "dx": dx, "dy": dy}
        return sprite_on(self.sprites, index, self.side, **place, mirrored=variant % 2 == 1, background=self.background)


@dataclass(frozen=True)
class FolderPictures:
    """`root/<class>/<picture>`: resized to the short side and cropped from the centre; what is transparent shows the background."""

    files: tuple[Path, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    side: int
    background: str = WHITE
    note: Note = ignore
    distinct: int = 2

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, index: int, variant: int) -> np.ndarray:
        whole = Image.fromarray(read_picture(self.files[index], self.background, self.note))
        pixels = np.asarray(centre_crop(whole, self.side))
        return pixels[:, ::-1] if variant % 2 else pixels


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """The largest centred square, at `side` pixels: halved while twice too large, then bicubic, as in ADM."""
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def load_pictures(path: str | Path, side: int, background: str = WHITE, note: Note = ignore) -> Pictures:
    """Open a sprite sheet (.npz) or a folder with one subfolder of pictures per class, which may lie in folders of their own.

    What is left out, and what is done to pictures beside scaling and cropping, is said in a `note`, once.
    """
    root, note = Path(path), once(note)
    if root.suffix.lower() == ".npz" and root.exists():
        return SpritePictures(load_sprites(root), side, background, (root,))
    if not root.is_dir():
        raise DataError(f"no data at {root}: give a folder with one subfolder of images per class, or an .npz sprite sheet")
    folders = folders_in(root)
    if folders and {folder.name.lower() for folder in folders} <= SPLITS:
        raise DataError(f"{root} is divided into {named(folders, root)}, which are no classes; give one of them: {folders[0]}")
    found = {folder: find_pictures(folder) for folder in folders}
    classes = [folder for folder in folders if found[folder].pictures]
    loose = [file for file in files_in(root) if is_picture(file)]
    if not classes:
        what = "pictures, but no folders of them by class" if loose else "no images"
        raise DataError(f"{root} holds {what}: expected {root}/<class>/<image>, each {LIKE} or another format of pictures")
    if loose:
        note(f"{root}: pictures outside the folders of classes are left out: {named(loose, root)}")
    left_out([file for each in found.values() for file in each.others], root, note)
    if empty := [folder for folder in folders if folder not in classes]:
        note(f"{root}: without pictures, and so no classes: {named(empty, root)}")
    labelled = [(file, label) for label, folder in enumerate(classes) for file in found[folder].pictures]
    labels = np.array([label for _, label in labelled])
    return FolderPictures(tuple(file for file, _ in labelled), labels, tuple(folder.name for folder in classes), side, background, note)


def variants(pictures: Pictures, wanted: int, *, mirror: bool) -> range:
    """The first `wanted` variants, or as many as differ; without the mirrored ones unless `mirror`."""
    step = 1 if mirror else 2
    return range(0, min(wanted * step, pictures.distinct), step)


def files_digest(files: Sequence[Path]) -> str:
    """A name for data as they are now: sha256 over the names, sizes and times of their files."""
    root = Path(os.path.commonpath(files))  # of a single file itself: it may be called anything
    facts = [(file.relative_to(root).as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(files)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()
