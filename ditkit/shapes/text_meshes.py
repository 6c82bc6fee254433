"""Meshes of polygons as text: Wavefront's .obj and Geomview's .off, which ModelNet is in.

Read here, since open3d leaves out polygons of an .obj, or ends the whole program at its lines and points.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from ditkit.errors import DataError
from ditkit.files.text import marked
from ditkit.shapes.polygons import Polygons, whole

OFF = re.compile(rb"(?:((?:ST|C|N|4|n)*)(?:OFF|off))?\s*(BINARY)?\s*(.*)", re.DOTALL)


def read_obj(path: Path) -> Polygons:
    """The vertices and faces of an .obj; lines, points, textures and materials are no surface. Raises `DataError`, naming the line."""
    vertices: list[list[float]] = []
    polygons: list[list[int]] = []
    content = _read(path).replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")  # a line that goes on in the next
    for number, line in enumerate(content.splitlines(), 1):
        kind, *words = line.partition(b"#")[0].split() or [b""]
        try:
            if kind == b"v":
                x, y, z, *_ = map(float, words)
                vertices.append([x, y, z])
            elif kind == b"f":
                polygons.append([_place(word, len(vertices)) for word in words])
        except ValueError as error:
            raise DataError(f"{path}, line {number} is no vertex or face of an .obj: {error}") from error
    return whole(path, vertices, polygons)


def read_off(path: Path) -> Polygons:
    """The vertices and faces of an .off, whose header may run into the counts (`OFF8 6 12`). Raises `DataError`."""
    lines = [line for raw in _read(path).splitlines() if (line := raw.partition(b"#")[0].strip())]
    head = OFF.fullmatch(lines[0] if lines else b"")
    if head is None or head[2] or re.search(b"[4n]", head[1] or b""):
        raise DataError(f"{path} is no .off file of points in three dimensions, as text; convert it")
    body = [head[3], *lines[1:]] if head[3] else lines[1:]
    try:
        count, faces, *_ = map(int, body[0].split())
        if len(body) < 1 + count + faces:
            raise DataError(f"{path} is cut off: it promises {count} vertices and {faces} faces and ends before")
        vertices = [[float(word) for word in line.split()[:3]] for line in body[1 : 1 + count]]
        polygons = [_corners(line.split()) for line in body[1 + count : 1 + count + faces]]
    except (ValueError, IndexError) as error:
        raise DataError(f"{path} is no .off file, or is damaged: {error}") from error
    return whole(path, vertices, polygons)


def _read(path: Path) -> bytes:
    """What a file says, of whatever encoding its names and comments are; one with a byte order mark as UTF-8 without."""
    content = path.read_bytes()
    mark, encoding = marked(content)
    return content[len(mark) :].decode(encoding, "replace").encode() if mark else content


def _place(word: bytes, so_far: int) -> int:
    """Of a corner in an .obj, before what it says of textures and normals: counted from 1, or back from the last vertex so far, -1."""
    number = int(word.partition(b"/")[0])
    if number == 0:
        raise ValueError("corners are counted from 1, and one is 0")
    return number - 1 if number > 0 else so_far + number


def _corners(words: Sequence[bytes]) -> list[int]:
    """Of a face in an .off: how many there are, then each; a colour may follow."""
    size = int(words[0])
    if len(words) <= size:
        raise ValueError(f"a face of {size} corners names {len(words) - 1}")
    return [int(word) for word in words[1 : 1 + size]]
