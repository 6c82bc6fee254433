"""Stanford's .ply: vertices by the names and types that its header gives them, faces as open3d cuts them into triangles.

Vertices are read here: open3d mixes up those whose z does not come last, and makes up what a damaged file lacks.
Shapes: V vertices, F triangles.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ditkit.errors import DataError
from ditkit.shapes.backend import quietly

END = re.compile(rb"^end_header[ \t]*\r?\n", re.MULTILINE)
AXES = ("x", "y", "z")
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8"}
TYPES |= {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"}


class Element(NamedTuple):
    """A table of the file: its rows' values by name and numpy's type; None for a list of as many values as it says itself."""

    name: str
    rows: int
    values: list[tuple[str, str | None]]

    @property
    def width(self) -> int | None:
        """Bytes of a row of a binary file, if all have as many."""
        kinds = [kind for _, kind in self.values]
        return None if None in kinds else sum(np.dtype(kind).itemsize for kind in kinds)


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The vertices (V, 3) float64, and the triangles (F, 3) of their surface, none if it is a cloud; raises `DataError`."""
    content = path.read_bytes()
    end = END.search(content)
    layout, elements = _header(content[: end.start()] if end else b"", path)
    body = content[end.end() :] if end else b""
    named = {element.name: element for element in elements}
    vertex = named.get("vertex", Element("vertex", 0, []))
    if missing := [axis for axis in AXES if axis not in dict(vertex.values)]:
        raise DataError(f"{path} is no PLY file with vertices, or its header is damaged: it says nothing of their {' and '.join(missing)}")
    before = elements[: elements.index(vertex)]
    if layout == "ascii":
        vertices = _of_text(body, before, vertex, sum(element.rows for element in elements), path)
    else:
        vertices = _of_bytes(body, before, vertex, len(elements) == len(before) + 1, ORDERS[layout], path)
    if "tristrips" in named:
        raise DataError(f"{path} is a mesh of triangle strips; save it with faces")
    faces = named["face"].rows if "face" in named else 0
    return vertices, _triangles(path, faces, len(vertices)) if faces else np.empty((0, 3), dtype=np.int64)


def _header(header: bytes, path: Path) -> tuple[str, list[Element]]:
    """How the file is written, and its tables in order."""
    layout, elements = "", []
    try:
        for line in header.decode("latin-1").splitlines():
            match line.split():
                case ["format", layout, _]:
                    pass
                case ["element", name, count]:
                    elements.append(Element(name, int(count), []))
                case ["property", "list", *_, name]:
                    elements[-1].values.append((name.lower(), None))
                case ["property", kind, name]:
                    elements[-1].values.append((name.lower(), TYPES[kind]))
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{path} is no PLY file with vertices, or its header is damaged: {error}") from error
    if layout not in (*ORDERS, "ascii") or any(element.rows < 0 for element in elements):
        raise DataError(f"{path} is no PLY file with vertices, or its header is damaged")
    return layout, elements


def _of_text(body: bytes, before: list[Element], vertex: Element, rows: int, path: Path) -> np.ndarray:
    """A row on each line, of `rows` in all."""
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) < rows:
        raise DataError(f"{path} is cut off: it promises {vertex.rows} points and ends before")
    if len(lines) > rows:
        raise DataError(f"{path} is damaged: it promises {rows} lines of points and faces and has {len(lines)}")
    first = sum(element.rows for element in before)
    columns = [[name for name, _ in vertex.values].index(axis) for axis in AXES]
    points = []
    for line in lines[first : first + vertex.rows]:
        words = line.split()
        try:
            points.append([float(words[column]) for column in columns])
        except (ValueError, IndexError) as error:
            raise DataError(f"{path} is damaged: '{line.decode('latin-1')[:60]}' is no point") from error
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def _of_bytes(body: bytes, before: list[Element], vertex: Element, last: bool, order: str, path: Path) -> np.ndarray:
    """Rows of one length, after tables of such; `last` of the tables they end with the file."""
    widths = [element.width for element in (*before, vertex)]
    if None in widths:
        raise DataError(f"{path} has lists in or before its vertices, which are not read; save them without")
    first = sum(element.rows * (element.width or 0) for element in before)
    width = widths[-1] or 0
    if len(body) < first + vertex.rows * width:
        raise DataError(f"{path} is cut off: it promises {vertex.rows} points and ends before")
    if last and len(body) >= first + (vertex.rows + 1) * width:
        raise DataError(f"{path} is damaged: it promises {vertex.rows} points and has {(len(body) - first) / width:g}")
    kind = np.dtype([(f"{name}{place}", f"{order}{kind}") for place, (name, kind) in enumerate(vertex.values)])
    table = np.frombuffer(body, kind, vertex.rows, first)
    places = [[name for name, _ in vertex.values].index(axis) for axis in AXES]
    return np.stack([table[f"{axis}{place}"].astype(np.float64) for axis, place in zip(AXES, places, strict=True)], axis=1)


def _triangles(path: Path, faces: int, vertices: int) -> np.ndarray:
    with quietly() as library:
        mesh = library.t.io.read_triangle_mesh(str(path))  # which, unlike the older one, makes nothing of a file it cannot read whole
        triangles = mesh.triangle.indices.numpy() if "indices" in mesh.triangle else np.empty((0, 3))
    if not len(triangles) or triangles.min() < 0 or triangles.max() >= vertices:
        raise DataError(f"{path} is cut off or damaged: its {faces} faces cannot be read")
    return triangles.astype(np.int64)
