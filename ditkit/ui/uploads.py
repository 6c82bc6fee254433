"""Files that a browser hands over: never larger than is said, and read by the same readers as those of the command line."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ditkit.errors import DataError, RequestError
from ditkit.files.atomic import write_atomically
from ditkit.grounding.layout import Layout
from ditkit.grounding.layout_file import parse_layouts

LARGEST_LAYOUT, LARGEST_CLOUD = 2**20, 2**25  # bytes
POINTS = 2048  # that are taken of the surface of a mesh, to show it


def layouts_in(contents: str, name: str) -> Sequence[Layout]:
    """The layouts of an uploaded file; raises `RequestError` for none."""
    data = content(contents, name, LARGEST_LAYOUT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{name} is no layout: it is not text in UTF-8") from error
    return parse_layouts(text, name, lines=name.lower().endswith(".jsonl"))


def kept_cloud(contents: str, name: str, folder: Path) -> tuple[Path, np.ndarray]:
    """An uploaded cloud, put into the folder under a name that goes by what it holds, and its points; raises `DataError` for none."""
    from ditkit.shapes.clouds import ENDINGS, read_points

    data, ending = content(contents, name, LARGEST_CLOUD), Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"{name} is neither a cloud nor a mesh that ditkit reads: {' '.join(ENDINGS)}")
    with TemporaryDirectory() as place:
        trial = Path(place) / f"cloud{ending}"
        trial.write_bytes(data)
        try:
            points = read_points(trial, POINTS)
        except DataError as error:
            raise DataError(str(error).replace(str(trial), name)) from error
    kept = folder / f"{hashlib.sha256(data).hexdigest()[:12]}{ending}"
    if not kept.exists():
        write_atomically(kept, lambda part: part.write_bytes(data))
    return kept, points


def content(contents: str, name: str, largest: int) -> bytes:
    """The bytes of an upload, which comes as a data URL; raises `RequestError` for more than are taken."""
    _, _, encoded = contents.partition(";base64,")
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise RequestError(f"{name} did not arrive whole; choose it once more") from error
    if len(data) > largest:
        raise RequestError(f"{name} has {len(data) / 2**20:.1f} MiB; at most {largest / 2**20:.0f} MiB are taken here")
    return data
