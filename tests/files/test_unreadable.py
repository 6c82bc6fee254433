"""Files that were damaged after they were written: whoever reads them says which."""

import zlib
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from ditkit.data.clouds import load_clouds
from ditkit.data.images import load_pictures
from ditkit.data.picture_sets import open_set
from ditkit.data.pictures import read_picture
from ditkit.data.sprites import load_sprites
from ditkit.errors import DataError, DitkitError
from ditkit.metrics.moments_file import moments_in
from ditkit.results.folder import RunFolder


def damaged(path: Path, **arrays: np.ndarray) -> Path:
    """A packed .npz of which each array begins with a byte that nothing packed begins with; names and sizes are whole."""
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]
    content = bytearray(path.read_bytes())
    with ZipFile(path) as file:
        for member in file.infolist():
            names = sum(int.from_bytes(content[member.header_offset + at :][:2], "little") for at in (26, 28))
            content[member.header_offset + 30 + names] = 0xFF
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["arr_0"], open_set),
        (["images", "labels", "class_names", "sets", "set_names"], load_sprites),
        (["points"], load_clouds),
        (["mu", "sigma"], moments_in),
    ],
)
def test_packed_arrays_that_cannot_be_unpacked_are_refused(tmp_path: Path, names: list[str], read: Callable[[Path], object]) -> None:
    file = damaged(tmp_path / "bad.npz", **{name: np.zeros((2, 4, 4, 3), np.uint8) for name in names})
    with pytest.raises(DataError, match=r"bad\.npz .*Error -3 while decompressing data: invalid block type$"):
        read(file)


def broken(path: Path) -> None:
    """Say that the pixels end early, so that others stand where the next part should begin."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    place = content.index(b"IDAT")
    path.write_bytes(content[: place - 4] + (20).to_bytes(4, "big") + content[place:])


def bomb(path: Path) -> None:
    """Promise more pixels than Pillow is willing to make."""
    Image.new("RGB", (1, 1)).save(path)
    content = path.read_bytes()
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + content[24:29]
    path.write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])


@pytest.mark.parametrize(("damage", "raised"), [(broken, SyntaxError), (bomb, Image.DecompressionBombError)])
@pytest.mark.parametrize(
    "read",
    [
        read_picture,
        lambda file: load_pictures(file.parent.parent, 4).picture(0, 0),
        lambda file: RunFolder(file.parent).read_picture(file),
    ],
)
def test_pictures_that_pillow_cannot_read_are_refused(
    tmp_path: Path, damage: Callable[[Path], None], raised: type[Exception], read: Callable[[Path], object]
) -> None:
    (tmp_path / "class").mkdir()
    damage(tmp_path / "class" / "0.png")
    with pytest.raises(DitkitError, match=r"cannot read .*0\.png") as caught:
        read(tmp_path / "class" / "0.png")
    causes = [caught.value.__cause__, caught.value.__cause__ and caught.value.__cause__.__cause__]
    assert any(isinstance(cause, raised) for cause in causes)
