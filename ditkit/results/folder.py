"""Run folders: the pictures or clouds of a run, a labelled grid, and a manifest from which the run can be repeated.

A folder belongs to one request. It is claimed before the first picture is made; the same request continues it, another is refused.
"""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ditkit.data.pictures import read_picture
from ditkit.errors import DataError, OutputError
from ditkit.files.atomic import read_json, remove_parts, write_atomically
from ditkit.files.in_use import in_use
from ditkit.training.trainer import STATE

FORMAT = "ditkit-run"
VERSION = 1
GRID_LIMIT = 100


@dataclass(frozen=True)
class RunFolder:
    """`path/images/000000.png ...` or `path/clouds/000000.ply ...`, `path/grid.png`, `path/manifest.json`."""

    path: Path

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.json"

    def image_file(self, index: int) -> Path:
        return self.path / "images" / f"{index:06d}.png"

    def cloud_file(self, index: int) -> Path:
        return self.path / "clouds" / f"{index:06d}.ply"

    def claim(self, request: Mapping[str, Any]) -> None:
        """Make the folder this request's, or raise `OutputError` if it holds another run."""
        if self.manifest_file.exists():
            if changed := changed_keys(read_manifest(self.manifest_file)["request"], request):
                raise OutputError(f"{self.path} holds a run that differs in {', '.join(changed)}; choose another folder with --out")
            remove_parts(self.path)
        else:
            self.write_manifest({"request": request, "complete": False})

    @contextmanager
    def claimed(self, request: Mapping[str, Any]) -> Iterator[None]:
        """Work in the folder as this request's; raises `OutputError` if it is another's, or another process works there."""
        if (self.path / STATE).exists():
            raise OutputError(f"{self.path} holds a training; choose another folder with --out")
        with in_use(self.path):
            self.claim(request)
            yield

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        record = {"format": FORMAT, "version": VERSION, **content, "versions": library_versions()}
        write_atomically(self.manifest_file, lambda path: path.write_text(json.dumps(_plain(record), indent=2) + "\n", encoding="utf-8"))

    def save_image(self, index: int, pixels: np.ndarray) -> None:
        write_atomically(self.image_file(index), lambda path: Image.fromarray(pixels).save(path, format="png"))

    def save_picture(self, file: Path, image: Image.Image) -> None:
        write_atomically(file, lambda path: image.save(path, format="png"))

    def read_picture(self, file: Path) -> Image.Image:
        """A picture of this run, in memory; raises `OutputError` for one that was damaged since."""
        try:
            return Image.fromarray(read_picture(file))
        except DataError as error:
            raise OutputError(f"cannot read {file}: remove it and repeat the command, which makes it again") from error

    def save_grid(self, images: Sequence[Image.Image], captions: Sequence[str]) -> Path:
        """Draw pictures, captioned, into grid.png."""
        target = self.path / "grid.png"
        write_atomically(target, lambda path: draw_grid(images, captions).save(path, format="png"))
        return target


def has_manifest(folder: Path) -> bool:
    """Whether this is the folder of a run."""
    return (folder / "manifest.json").exists()


def read_manifest(path: Path) -> dict[str, Any]:
    """A run's manifest; raises `OutputError` if it is none, or one of another version."""
    data = read_json(path, "manifest", OutputError)
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("request"), dict):
        raise OutputError(f'{path} is not a manifest of a ditkit run (it has no "format": "{FORMAT}")')
    if data.get("version") != VERSION:
        raise OutputError(f"{path} has manifest version {data.get('version')}; this ditkit reads version {VERSION}")
    return data


def finished_run(path: Path) -> dict[str, Any]:
    """The manifest of the run in a folder; raises `OutputError` for one that is not finished."""
    manifest = read_manifest(path / "manifest.json")
    if not manifest.get("complete"):
        raise OutputError(f"{path} is a run that is not finished; repeat its command, which goes on where it stopped")
    return manifest


def changed_keys(earlier: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    """In what a request differs from one that was read from a manifest."""
    now = _plain(request)
    return sorted(key for key in {*earlier, *now} if earlier.get(key) != now.get(key))


def draw_grid(images: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """The pictures in rows, near a square, each at least 96 pixels wide with its caption below."""
    columns = int(np.ceil(np.sqrt(len(images))))
    zoom = max(1, round(128 / images[0].width))
    width, height = images[0].width * zoom, images[0].height * zoom
    font = _font(captions, width)
    line, gap = int(font.getbbox("Ag")[3]) + 6, 8
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + line + gap) + gap), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (image, caption) in enumerate(zip(images, captions, strict=False)):
        left, top = gap + place % columns * (width + gap), gap + place // columns * (height + line + gap)
        share = min(width / image.width, height / image.height)  # a picture of another shape keeps it
        size = round(image.width * share), round(image.height * share)
        shown = image.resize(size, Image.Resampling.NEAREST if zoom > 1 else Image.Resampling.LANCZOS)
        sheet.paste(shown, (left + (width - size[0]) // 2, top + (height - size[1]) // 2))
        draw.text((left + width / 2, top + height + 2), _fitted(caption, font, width + gap), fill="#444444", font=font, anchor="ma")
    return sheet


def _font(captions: Sequence[str], width: int) -> Any:
    """Letters a tenth as large as the pictures are wide, half of that if a caption needs it."""
    large = ImageFont.load_default(size=max(11, width // 10))
    return large if all(large.getlength(caption) <= width for caption in captions) else ImageFont.load_default(size=max(11, width // 20))


def _fitted(caption: str, font: Any, width: int) -> str:
    """As many of the words' letters as there is room for."""
    line = " ".join(caption.split())
    if font.getlength(line) <= width:
        return line
    most = next(length for length in range(len(line), -1, -1) if font.getlength(f"{line[:length].rstrip()}\u2026") <= width)
    return f"{line[:most].rstrip()}\u2026"


def library_versions() -> dict[str, str]:
    """The versions that can change a result."""
    found = {"python": platform.python_version()}
    for name in ("ditkit", "torch", "diffusers", "transformers", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    """The value as it comes back from JSON."""
    return json.loads(json.dumps(value))
