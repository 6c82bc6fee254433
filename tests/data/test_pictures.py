"""A picture is what whoever saved it meant, whatever the format, the depth and the way up."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ditkit.data.images import load_pictures
from ditkit.data.picture_sets import open_set
from ditkit.data.pictures import FIRST_FRAME, TURNED, find_pictures, once, read_picture
from ditkit.errors import DataError
from tests.png import png
from tests.tiff import tiff

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = RGB[..., 0]
GREY3 = np.repeat(GREY[..., None], 3, axis=2)
WHITE = np.full_like(RGB, 255)
TURNS = {  # EXIF's orientation, and what it asks to be done
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: np.rot90,
}


def saved(path: Path, pixels: np.ndarray | Image.Image, **options: Any) -> Path:
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)
    return path


@pytest.mark.parametrize(
    "name",
    ["a.png", "a.PNG", "a.bmp", "a.tif", "a.TIFF", "a.tga", "a.ppm", "a.ico", "a.webp", "a.jp2", "a.qoi", "a.jfif", "a.JPEG", "a.mpo"],
)
def test_every_format_is_found_and_read_by_both_readers_alike(tmp_path: Path, name: str) -> None:
    lossless = {"lossless": True} if name == "a.webp" else {}
    square = RGB[:, :6]
    (tmp_path / "set" / "class").mkdir(parents=True)
    file = saved(tmp_path / "set" / "class" / name, square, **lossless)
    with Image.open(file) as image:
        expected = np.asarray(image.convert("RGB"))
    if not name.lower().endswith(("jfif", "jpeg", "mpo")):
        assert np.array_equal(expected, square)
    assert np.array_equal(load_pictures(tmp_path / "set", 6).picture(0, 0), expected)
    assert np.array_equal(next(open_set(tmp_path / "set").read([range(1)]))[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
@pytest.mark.parametrize("factor", [257, 256])  # to white, and what shifting by 8 bits makes
def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path: Path, name: str, factor: int) -> None:
    assert np.array_equal(read_picture(saved(tmp_path / name, GREY.astype(np.uint16) * factor)), GREY3)


def test_sixteen_bits_of_colour_are_scaled_to_eight(tmp_path: Path) -> None:
    """Which Pillow reads and does not write, so the file is made from the standard."""
    deep = RGB.astype(np.uint16) * 257
    for kind, pixels, expected in (
        (2, deep, RGB),
        (6, np.dstack([deep, np.full_like(deep[..., 0], 65535)]), RGB),
        (6, np.dstack([deep, np.zeros_like(deep[..., 0])]), WHITE),
        (4, np.dstack([deep[..., 0], np.full_like(deep[..., 0], 65535)]), GREY3),
    ):
        (tmp_path / "a.png").write_bytes(png(pixels, kind))
        assert np.array_equal(read_picture(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("planes", [False, True])
def test_so_are_those_of_a_tiff_in_planes_or_not(tmp_path: Path, planes: bool, big: bool) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(RGB.astype(np.uint16) * 257, planes=planes, big=big))
    assert np.array_equal(read_picture(tmp_path / "a.tif"), RGB)


def test_a_kind_of_a_format_that_is_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(np.dstack([GREY, GREY])))
    with pytest.raises(DataError, match=r"a\.tif: it is damaged, or a kind of TIFF that is not read; save it as \.png$"):
        read_picture(tmp_path / "a.tif")


def test_twelve_bits_and_white_as_zero_are_believed(tmp_path: Path) -> None:
    """What a TIFF says of itself and Pillow leaves to whoever reads it."""
    black_is_white = saved(tmp_path / "a.tif", 65535 - GREY.astype(np.uint16) * 257)
    content = bytearray(black_is_white.read_bytes())
    place = content.index(b"\x06\x01\x03\x00\x01\x00\x00\x00") + 8  # the tag of the photometric interpretation
    assert content[place] == 1
    content[place] = 0
    black_is_white.write_bytes(content)
    assert np.array_equal(read_picture(black_is_white), GREY3)


@pytest.mark.parametrize(("dtype", "what"), [(np.int32, "integers of 32 bits"), (np.float32, "floating-point numbers")])
def test_a_picture_that_does_not_say_what_is_white_is_refused(tmp_path: Path, dtype: type, what: str) -> None:
    with pytest.raises(DataError) as caught:
        read_picture(saved(tmp_path / "a.tif", GREY.astype(dtype)))
    said = f"is a picture of {what}, which do not say what is white; save it with 8 or 16 bits"
    assert str(caught.value) == f"{tmp_path / 'a.tif'} {said}"


def test_palettes_greys_and_inks_become_colours(tmp_path: Path) -> None:
    palette = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(read_picture(saved(tmp_path / "a.png", palette)), np.asarray(palette.convert("RGB")))
    assert np.array_equal(read_picture(saved(tmp_path / "b.png", GREY > 127)), np.where(GREY3 > 127, 255, 0))
    assert np.array_equal(read_picture(saved(tmp_path / "c.tif", Image.fromarray(RGB).convert("CMYK"))), RGB)
    inks = saved(tmp_path / "d.jpg", Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).convert("CMYK"), quality=100)
    assert np.abs(read_picture(inks).astype(int) - 90).max() <= 1  # one level of JPEG's rounding


@pytest.mark.parametrize(("background", "level"), [("white", 255), ("black", 0), ("#808080", 128)])
def test_what_is_transparent_shows_one_background_in_both_readers(tmp_path: Path, background: str, level: int) -> None:
    (tmp_path / "class").mkdir()
    clear = np.dstack([RGB[:, :6], np.zeros((6, 6), np.uint8)])
    palette = Image.fromarray(RGB[:, :6]).quantize(4)
    saved(tmp_path / "class" / "0.png", clear)
    saved(tmp_path / "class" / "1.png", np.dstack([GREY[:, :6], clear[..., 3]]))
    saved(tmp_path / "class" / "2.gif", palette, transparency=2)
    with_hole = np.asarray(palette.convert("RGB")).copy()
    with_hole[np.asarray(palette) == 2] = level
    expected = [np.full((6, 6, 3), level), np.full((6, 6, 3), level), with_hole]
    training = load_pictures(tmp_path, 6, background)
    assert np.array_equal(np.stack([training.picture(index, 0) for index in range(3)]), expected)
    measured = next(open_set(tmp_path, background=background).read([range(3)]))
    assert np.array_equal(measured.permute(0, 2, 3, 1).numpy(), expected)


@pytest.mark.parametrize(("kind", "clear"), [(0, (500,)), (2, (1000, 2000, 3000))])
def test_one_colour_of_sixteen_bits_may_be_transparent(tmp_path: Path, kind: int, clear: tuple[int, ...]) -> None:
    pixels = np.full((2, 2, len(clear)), 9 * 256, np.uint16)
    pixels[0, 0] = clear
    (tmp_path / "a.png").write_bytes(png(pixels, kind, clear))
    expected = np.full((2, 2, 3), 9)
    expected[0, 0] = 255
    assert np.array_equal(read_picture(tmp_path / "a.png"), expected)


def test_half_transparent_colours_of_sixteen_bits_are_mixed_with_the_background(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 65536, (4, 4, 4), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png(pixels, 6))
    colours, alpha = pixels[..., :3] / 65535, pixels[..., 3:] / 65535
    expected = 255 * (colours * alpha + 1 - alpha)
    assert np.abs(read_picture(tmp_path / "a.png") - expected).max() < 2  # a level each of colour, alpha and their mixture, cut or rounded


def test_a_photograph_in_inks_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = saved(tmp_path / "a.jpg", Image.fromarray(RGB).convert("CMYK"), exif=exif, quality=100)
    assert np.array_equal(read_picture(file), np.rot90(np.asarray(Image.open(file).convert("RGB")), -1))


def test_what_cannot_be_opened_says_the_reason_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DataError, match=r"^cannot read the picture [^\s]+a\.png: Is a directory$"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_a_picture_is_turned_as_its_camera_was_held(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file, said = saved(tmp_path / name, RGB, exif=exif, lossless=True), []
    assert np.array_equal(read_picture(file, note=said.append), TURNS[orientation](RGB))
    assert said == ([TURNED] if orientation > 1 else [])


def test_exif_data_that_are_broken_are_not_believed(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", RGB, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_picture(tmp_path / "a.png"), RGB)


def test_of_an_animation_the_first_frame_is_read_and_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels).quantize(256) for pixels in (RGB, RGB[::-1])]
    saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    said: list[str] = []
    assert np.array_equal(read_picture(tmp_path / "a.gif", note=said.append), np.asarray(frames[0].convert("RGB")))
    assert said == [FIRST_FRAME]


def test_what_systems_leave_behind_is_no_picture_and_the_rest_is_named(tmp_path: Path) -> None:
    for name in ("a.png", ".hidden.png", "__MACOSX/a.png", "@eaDir/a.png", ".cache/a.png", "in/deep/b.PNG", "#recycle/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        saved(tmp_path / name, RGB)
    for name in ("Thumbs.db", "in/Thumbs.db", "desktop.ini", ".DS_Store", "labels.csv", "in/video.mpg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "circle").symlink_to(tmp_path)
    found = find_pictures(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in found.pictures] == ["a.png", "in/deep/b.PNG"]
    said: list[str] = []
    assert open_set(tmp_path, note=said.append).count == 2
    assert said == [f"{tmp_path}: 2 files are no pictures and are left out: in/video.mpg, labels.csv"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("noise.png", b"noise", "it is damaged, or no picture at all"),
        ("cut.png", b"\x89", "it is damaged, or no picture at all"),
        ("drawing.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is damaged, or no picture at all"),
    ],
)
def test_what_is_no_picture_is_refused_and_no_other_program_is_asked(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_picture(tmp_path / name)
    assert str(caught.value) == f"cannot read the picture {tmp_path / name}: {why}"


def test_what_lies_in_the_place_of_a_picture_is_called_what_it_is(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5000\n"
    for name, content, what in (
        ("pointer.png", pointer, "is a Git LFS pointer, 67 bytes in place of 5000; fetch the file itself with 'git lfs pull'"),
        ("page.jpg", "<!DOCTYPE html>", "is a web page in place of the file"),
        ("empty.tif", "", "must be downloaded again: it is empty"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError) as caught:
            read_picture(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name} {what}")


def test_a_line_is_said_once() -> None:
    said: list[str] = []
    note = once(said.append)
    for line in "aba":
        note(line)
    assert said == ["a", "b"]
