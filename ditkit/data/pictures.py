"""Pictures in files, in every format that Pillow reads, as they are meant to be seen: upright, 8 bits deep, in RGB, on one background.

Shapes: H x W pixels. A picture is uint8 (H, W, 3).
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ditkit.errors import DataError
from ditkit.files.listing import files_below, named
from ditkit.files.mistaken import mistaken
from ditkit.files.regular import check_regular

Note = Callable[[str], object]
"""Takes a line that whoever asked for the pictures should see."""

WHITE = "white"
NOT_READ = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF", "EPS", "PCD"}  # which Pillow cannot decode, or not by itself; .pcd is of clouds
LIKE = ".png, .jpg, .webp or .tif"
ORIENTATION = 0x0112  # EXIF
BITS, PHOTOMETRIC, WHITE_IS_ZERO, PLANES = 258, 262, 0, 284  # TIFF
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNED = "pictures are turned as their EXIF orientation says"
FIRST_FRAME = "of pictures with several frames the first is taken"


class Found(NamedTuple):
    """The pictures below a folder, in order, and the other files there."""

    pictures: list[Path]
    others: list[Path]


def find_pictures(folder: Path) -> Found:
    """All that lies below the folder; pictures are told by their endings."""
    files = files_below(folder)
    return Found([file for file in files if is_picture(file)], [file for file in files if not is_picture(file)])


def is_picture(file: Path) -> bool:
    """Whether its name ends, in whatever case, like that of a picture."""
    return file.suffix.lower() in _endings()


def left_out(others: Sequence[Path], root: Path, note: Note) -> None:
    """Say which files are no pictures, if there are any."""
    if others:
        many = "1 file is no picture and is" if len(others) == 1 else f"{len(others)} files are no pictures and are"
        note(f"{root}: {many} left out: {named(others, root)}")


def once(note: Note) -> Note:
    """The same, which says no line twice."""
    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:
            said.add(line)
            note(line)

    return say


def ignore(line: str) -> None:
    """A `Note` for those who do not want to know."""


def read_picture(file: Path, background: str = WHITE, note: Note = ignore) -> np.ndarray:
    """A picture's pixels, what is transparent on `background`; raises `DataError` for what is no picture, or says too little.

    16 bits are scaled to 8 by dropping the lower ones, as libpng and Pillow do with colours. Integers of 32 bits and floating-point
    numbers are refused: nothing says which of them is white.
    """
    check_regular(file, DataError)
    try:
        with warnings.catch_warnings(), Image.open(file, formats=_formats()) as image:
            warnings.simplefilter("ignore")  # of Pillow's, of odd EXIF data and of large pictures
            shortened = image.mode == "RGB" and ";16" in str(image.tile)  # told before anything is read, as EXIF data are
            said = _orientation(image)
            _in_planes(image)
            image.load()  # which turns a TIFF by itself
            left = _orientation(image)
            if shortened and isinstance(clear := image.info.get("transparency"), tuple):
                image.info["transparency"] = tuple(value >> 8 for value in clear)  # which Pillow forgets to shorten with the colours
            told = {TURNED: said != 1 or left != 1, FIRST_FRAME: getattr(image, "is_animated", False)}
            picture = _on(_scaled(image, file) if _is_deep(image) else image, background)
            pixels = np.array(picture.transpose(UPRIGHT[left]) if left in UPRIGHT else picture)
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        reason = mistaken(file)
        raise DataError(f"{file} {reason}" if reason else f"cannot read the picture {file}: it is damaged, or {_perhaps(file)}") from error
    except Exception as error:  # a damaged file can make Pillow raise anything
        reason = (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"cannot read the picture {file}: {reason}") from error
    for line in [line for line, true in told.items() if true]:
        note(line)
    return pixels


def _in_planes(image: Any) -> None:
    """Have a TIFF of 16 bits whose colours lie apart, and are not packed, read as such: Pillow takes each byte for a number of its own."""
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(PLANES) == 2 and set(tags.get(BITS, ())) == {16}:
        sign = "L" if tags.prefix == b"II" else "B"
        for place, tile in enumerate(image.tile):
            if tile.codec_name == "raw":
                image.tile[place] = tile._replace(args=(f"{tile.args[0]};16{sign}", *tile.args[1:]))


def _perhaps(file: Path) -> str:
    """What a file is whose format Pillow knows by its first bytes, and whose kind of it it does not."""
    with file.open("rb") as stream:
        start = stream.read(16).ljust(16, b"\0")  # shorter ones some formats stumble over
    known = next((name for name in _formats() if (accepts := Image.OPEN[name][1]) and accepts(start)), None)
    return f"a kind of {known} that is not read; save it as .png" if known else "no picture at all"


def _on(image: Image.Image, background: str) -> Image.Image:
    """In RGB; what is transparent shows the background."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    cutout = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", cutout.size, background), cutout).convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Whether it has more than 8 bits. Pillow shortens colours by itself, and has two modes for the others."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _scaled(image: Image.Image, file: Path) -> Image.Image:
    """A grey picture of more than 8 bits, scaled to 8; raises `DataError` where nothing says what is white."""
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        what = "floating-point numbers" if image.mode == "F" else "integers of 32 bits"
        raise DataError(f"{file} is a picture of {what}, which do not say what is white; save it with 8 or 16 bits")
    values, tags = np.asarray(image).astype(np.int64), getattr(image, "tag_v2", {})  # of a TIFF, which Pillow leaves as it is
    bits = int(np.ravel(tags.get(BITS, 16))[0])
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = 2**bits - 1 - values
    grey = Image.fromarray((values >> (bits - 8)).astype(np.uint8))
    if isinstance(clear := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _orientation(image: Image.Image) -> int:
    """As EXIF has it, 1 is upright; of EXIF data that cannot be read nothing is believed."""
    try:
        said = image.getexif().get(ORIENTATION, 1)
    except Exception:  # struct.error, SyntaxError, ...: cameras and editors leave many kinds of broken data
        return 1
    return said if said in UPRIGHT else 1


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_READ)


@cache
def _endings() -> frozenset[str]:
    known = (*_formats(), "MPO")  # which Pillow opens as the JPEG that it begins with
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in known)
