"""Meshes of polygons as text: Wavefront's .obj and Geomview's .off, which ModelNet is in.

Read here, since open3d leaves out polygons of an .obj, or ends the whole program at its lines and points.
Shapes: V vertices, F triangles.
"""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ditkit.errors import DataError
from ditkit.files.text import marked
from ditkit.shapes.backend import quietly

OFF = re.compile(rb"(?:((?:ST|C|N|4|n)*)(?:OFF|off))?\s*(BINARY)?\s*(.*)", re.DOTALL)
PLY = "ply\nformat ascii 1.0\nelement vertex {}\nproperty double x\nproperty double y\nproperty double z\n"
PLY += "element face {}\nproperty list int int vertex_indices\nend_header\n"


class Polygons(NamedTuple):
    """`vertices` (V, 3) float64, and the places of each polygon's corners among them; without polygons it is a cloud."""

    vertices: np.ndarray
    polygons: Sequence[Sequence[int]]


def read_obj(path: Path) -> Polygons:
    """The vertices and faces of an .obj; lines, points, textures and materials are no surface. Raises `DataError`, naming the line."""
    vertices: list[list[float]] = []
    polygons: list[list[int]] = []
    content = _read(path).replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")  # a line that goes on in the next
    for number, line in enumerate(content.splitlines(), 1):
        kind, *words = line.split() or [b""]
        try:
            if kind == b"v":
                x, y, z, *_ = map(float, words)
                vertices.append([x, y, z])
            elif kind == b"f":
                corners = [int(word.partition(b"/")[0]) for word in words]
                polygons.append([corner - 1 if corner > 0 else len(vertices) + corner for corner in corners])  # -1 is the last so far
        except ValueError as error:
            raise DataError(f"{path}, line {number} is no vertex or face of an .obj: {error}") from error
    return _checked(path, vertices, polygons)


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
    return _checked(path, vertices, polygons)


def _read(path: Path) -> bytes:
    """What a file says, of whatever encoding its names and comments are; one with a byte order mark as UTF-8 without."""
    content = path.read_bytes()
    mark, encoding = marked(content)
    return content[len(mark) :].decode(encoding, "replace").encode() if mark else content


def triangulated(mesh: Polygons) -> np.ndarray:
    """The triangles (F, 3) of the same surface, hollow polygons too; lines, which have no surface, are left out."""
    polygons = [corners for corners in mesh.polygons if len(corners) > 2]
    if all(len(corners) == 3 for corners in polygons):
        return np.array(polygons, dtype=np.int64).reshape(-1, 3)
    with tempfile.TemporaryDirectory() as folder:  # open3d cuts polygons into triangles where it reads .ply files
        file = Path(folder) / "polygons.ply"
        places = "".join(f"{x!r} {y!r} {z!r}\n" for x, y, z in mesh.vertices.tolist())
        faces = "".join(f"{len(corners)} {' '.join(map(str, corners))}\n" for corners in polygons)
        file.write_text(PLY.format(len(mesh.vertices), len(polygons)) + places + faces, encoding="ascii")
        with quietly() as library:
            return np.asarray(library.io.read_triangle_mesh(str(file)).triangles, dtype=np.int64)


def _corners(words: Sequence[bytes]) -> list[int]:
    """Of a face in an .off: how many there are, then each; a colour may follow."""
    size = int(words[0])
    if len(words) <= size:
        raise ValueError(f"a face of {size} corners names {len(words) - 1}")
    return [int(word) for word in words[1 : 1 + size]]


def _checked(path: Path, vertices: Sequence[Sequence[float]], polygons: Sequence[Sequence[int]]) -> Polygons:
    beyond = next((corner for corners in polygons for corner in corners if not 0 <= corner < len(vertices)), None)
    if beyond is not None:
        raise DataError(f"{path} is damaged: a face has the vertex {beyond}, and there are {len(vertices)} (counted from 0)")
    if any(len(place) != 3 for place in vertices):
        raise DataError(f"{path} is damaged: a vertex has fewer than 3 coordinates")
    return Polygons(np.array(vertices, dtype=np.float64).reshape(-1, 3), polygons)
