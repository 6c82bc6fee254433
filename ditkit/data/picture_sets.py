"""Sets of pictures to measure: a run, a folder, a sheet of sprites or an .npz in ADM's layout, read a few pictures at a time.

Shapes: N pictures, H x W pixels. A picture is uint8 (H, W, 3).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor

from ditkit.data.images import load_pictures
from ditkit.data.pictures import LIKE, WHITE, Note, find_pictures, ignore, left_out, once, read_picture
from ditkit.errors import DataError
from ditkit.files import unreadable
from ditkit.files.arrays import check_arrays

ARRAY = "arr_0"  # of samples and reference batches as ADM's evaluation reads them; the labels are arr_1
SIDE = 64  # pixels that sprites are drawn at
CHUNK = 2**24  # bytes hashed at once


@dataclass(frozen=True)
class PictureSet:
    """`read(parts)` gives the pictures of each part in turn, parts going up, as uint8 (len(part), 3, H, W), all of one `size` (H, W).

    `files` are what a digest of the set is made of.
    """

    name: str
    kind: str
    count: int
    size: tuple[int, int]
    read: Callable[[Iterable[range]], Iterator[Tensor]]
    files: Sequence[Path]

    @property
    def described(self) -> str:
        return f"{self.kind}, {_size(*self.size)}"

    def digest(self) -> str:
        """sha256 over the contents of the files, in order, shortened."""
        return digest(self.files)


def digest(files: Sequence[Path]) -> str:
    """The first 16 digits of the sha256 of what the files hold, one after the other."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while part := file.read(CHUNK):
                total.update(part)
    return total.hexdigest()[:16]


def open_set(path: Path, files: Sequence[Path] | None = None, background: str = WHITE, note: Note = ignore) -> PictureSet:
    """The pictures at `path`, or those of `files` in this order; raises `DataError` for none, and when read for what is no picture.

    What is transparent in a file shows the `background`; what is left out, and what is done to pictures, is said in a `note`, once.
    """
    note = once(note)
    if path.is_file() and path.suffix.lower() == ".npz":
        return _of_sheet(path, background) if "images" in arrays_in(path) else _of_array(path)
    if not path.is_dir():
        raise DataError(f"no pictures at {path}: give a run folder, a folder of images, or an .npz with {ARRAY} (N, H, W, 3)")
    found, others = find_pictures(path) if files is None else (list(files), [])
    if not found:
        raise DataError(f"{path} holds no images, neither {LIKE} nor another format of pictures")
    left_out(others, path, note)

    def one(file: Path) -> np.ndarray:
        return read_picture(file, background, note)

    height, width, _ = one(found[0]).shape
    return PictureSet(str(path), "8-bit files", len(found), (height, width), partial(_from_files, found, (height, width), one), found)


def arrays_in(path: Path) -> list[str]:
    """The names of the arrays in an .npz, of which none is read."""
    check_arrays(path, DataError)
    try:
        with ZipFile(path) as file:
            return [name.removesuffix(".npy") for name in file.namelist()]
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read {path} as an .npz: {unreadable.reason(error)}") from error


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """The arrays in an .npz by name, with the shape of each; none is read."""
    try:
        with ZipFile(path) as file:
            members = [name for name in file.namelist() if name.endswith(".npy")]
            return {name.removesuffix(".npy"): _shape(file, name) for name in members}
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read {path} as an .npz: {unreadable.reason(error)}") from error


def _shape(file: ZipFile, name: str) -> tuple[int, ...]:
    with file.open(name) as stream:
        return _header(stream)[0]


def _of_sheet(path: Path, background: str) -> PictureSet:
    pictures = load_pictures(path, SIDE, background)

    def read(parts: Iterable[range]) -> Iterator[Tensor]:
        for part in parts:
            yield _as_tensor(np.stack([pictures.picture(index, 0) for index in part]))

    return PictureSet(str(path), f"sprites drawn on {background}", len(pictures), (SIDE, SIDE), read, [path])


def _of_array(path: Path) -> PictureSet:
    with _stream(path) as (shape, _, _):
        if len(shape) != 4 or shape[3] != 3 or 0 in shape[1:3]:
            raise DataError(f"{path} holds no pictures: {ARRAY} is {shape}, not (N, H, W, 3)")
    return PictureSet(str(path), f"{ARRAY} of an .npz", shape[0], (shape[1], shape[2]), partial(_from_array, path), [path])


def _from_array(path: Path, parts: Iterable[range]) -> Iterator[Tensor]:
    """In one pass over the file, which is unpacked once however many parts there are; columns first, it is held in memory whole."""
    with _stream(path) as (shape, stream, columns):
        if columns:
            whole = _whole(stream, shape, path)
            yield from (_as_tensor(whole[part.start : part.stop]) for part in parts)
            return
        first, size = stream.tell(), int(np.prod(shape[1:]))
        for part in parts:
            try:
                stream.seek(first + part.start * size)  # ahead: what lies between is read and dropped
                content = stream.read(len(part) * size)
                pictures = _as_tensor(np.frombuffer(content, np.uint8).reshape(len(part), *shape[1:]))
            except unreadable.ARRAYS as error:
                raise DataError(f"cannot read pictures {part.start} to {part.stop - 1} of {path}: {unreadable.reason(error)}") from error
            yield pictures


def _whole(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> np.ndarray:
    """An array whose columns lie together, as Matlab and `np.asfortranarray` have it: the last picture's pixels lie among the first's."""
    try:
        return np.frombuffer(stream.read(), np.uint8).reshape(shape, order="F")
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read the pictures of {path}: {unreadable.reason(error)}") from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape, whether it is in Fortran's order, and the kind of numbers of an array in a .npy."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)


@contextmanager
def _stream(path: Path) -> Iterator[tuple[tuple[int, ...], IO[bytes], bool]]:
    """The shape of the array, a stream of its bytes, of which nothing is held in memory, and whether they are in Fortran's order."""
    if ARRAY not in (there := arrays_in(path)):
        raise DataError(f"{path} holds no pictures: it has {', '.join(there) or 'nothing'}, not {ARRAY} (N, H, W, 3)")
    try:
        with ZipFile(path) as archive, archive.open(f"{ARRAY}.npy") as stream:
            shape, fortran, kind = _header(stream)
            if kind != np.uint8:
                raise DataError(f"{path} holds no pictures: {ARRAY} is {kind}, not uint8")
            yield shape, stream, fortran
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read {path} as an .npz of pictures ({ARRAY}): {unreadable.reason(error)}") from error


def _from_files(
    files: Sequence[Path], size: tuple[int, int], one: Callable[[Path], np.ndarray], parts: Iterable[range]
) -> Iterator[Tensor]:
    for part in parts:
        pictures = []
        for file in files[part.start : part.stop]:
            picture = one(file)
            if picture.shape[:2] != size:
                found, first = _size(*picture.shape[:2]), _size(*size)
                raise DataError(f"{file} is {found}, {files[0]} is {first}; pictures of one set must have one size")
            pictures.append(picture)
        yield _as_tensor(np.stack(pictures))


def _size(height: int, width: int) -> str:
    return f"{width} x {height}"


def _as_tensor(pixels_NHW3: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels_NHW3.copy()).movedim(-1, 1).contiguous()
