"""Stanford's .ply: vertices and faces by the names and types that its header gives them.

Read here: open3d mixes up vertices whose z does not come last, and makes up what a damaged file lacks.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ditkit.errors import DataError
from ditkit.shapes.polygons import Polygons, whole

END = re.compile(rb"^end_header[ \t]*\r?\n", re.MULTILINE)
AXES = ("x", "y", "z")
CORNERS = ("vertex_indices", "vertex_index")  # of a face
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8"}
TYPES |= {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"}


class Value(NamedTuple):
    """What stands in each row of a table: a number of numpy's type, or as many as the number before them says, of the type `counted`."""

    name: str
    kind: str
    counted: str | None = None


class Element(NamedTuple):
    """A table of the file."""

    name: str
    rows: int
    values: list[Value]

    @property
    def what(self) -> str:
        return {"vertex": "points", "face": "faces"}.get(self.name, f"rows of {self.name}")


Column = Sequence[Any] | np.ndarray
Columns = dict[str, Column]
"""What a table holds under each name: numbers, or lists of them."""


def read_ply(path: Path) -> Polygons:
    """The vertices and faces, without which it is a cloud; raises `DataError`."""
    content = path.read_bytes()
    end = END.search(content)
    layout, elements = _header(content[: end.start()] if end else b"", path)
    body = content[end.end() :] if end else b""
    named = {element.name: element for element in elements}
    vertex = {value.name for value in named["vertex"].values if not value.counted} if "vertex" in named else set()
    if missing := [axis for axis in AXES if axis not in vertex]:
        raise DataError(f"{path} is no PLY file with vertices, or its header is damaged: it says nothing of their {' and '.join(missing)}")
    if "tristrips" in named:
        raise DataError(f"{path} is a mesh of triangle strips; save it with faces")
    tables = _of_text(body, elements, path) if layout == "ascii" else _of_bytes(body, elements, ORDERS[layout], path)
    places = np.stack([np.asarray(tables["vertex"][axis], dtype=np.float64) for axis in AXES], axis=1)
    return whole(path, places, _faces(tables.get("face", {}), named.get("face"), path))


def _faces(table: Columns, element: Element | None, path: Path) -> Sequence[Sequence[int]]:
    if element is None or not element.rows:
        return []
    corners = next((table[name] for name in CORNERS if name in table), None)
    if corners is None:
        raise DataError(f"{path} has {element.rows} faces that name no {CORNERS[0]}")
    try:
        return corners.astype(int).tolist() if isinstance(corners, np.ndarray) else [list(map(int, face)) for face in corners]
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path} is damaged: a face has a corner that is no number of a vertex") from error


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
                case ["property", "list", counted, kind, name]:
                    elements[-1].values.append(Value(name.lower(), TYPES[kind], TYPES[counted]))
                case ["property", kind, name]:
                    elements[-1].values.append(Value(name.lower(), TYPES[kind]))
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{path} is no PLY file with vertices, or its header is damaged: {error}") from error
    if layout not in (*ORDERS, "ascii") or any(element.rows < 0 for element in elements):
        raise DataError(f"{path} is no PLY file with vertices, or its header is damaged")
    return layout, elements


def _cut_off(path: Path, element: Element) -> DataError:
    return DataError(f"{path} is cut off: it promises {element.rows} {element.what} and ends before")


def _of_text(body: bytes, elements: Sequence[Element], path: Path) -> dict[str, Columns]:
    """A row on each line."""
    lines = [line for line in body.splitlines() if line.strip()]
    tables: dict[str, Columns] = {}
    at = 0
    for element in elements:
        if len(lines) < at + element.rows:
            raise _cut_off(path, element)
        rows = [_row(line, element, path) for line in lines[at : at + element.rows]]
        tables[element.name] = _first({place: [row[place] for row in rows] for place, _ in enumerate(element.values)}, element)
        at += element.rows
    if len(lines) > at:
        raise DataError(f"{path} is damaged: it promises {at} lines of points and faces and has {len(lines)}")
    return tables


def _row(line: bytes, element: Element, path: Path) -> list[Any]:
    try:
        numbers, row, at = [float(word) for word in line.split()], [], 0
        for value in element.values:
            if value.counted:
                size = int(numbers[at])
                row.append(numbers[at + 1 : at + 1 + size])
                at += size
                if size < 0:
                    raise ValueError
            else:
                row.append(numbers[at])
            at += 1
        if at > len(numbers):
            raise ValueError
    except (ValueError, IndexError, OverflowError) as error:
        what = {"vertex": "point", "face": "face"}.get(element.name, f"row of {element.name}")
        raise DataError(f"{path} is damaged: '{line.decode('latin-1')[:60]}' is no {what}") from error
    return row


def _of_bytes(body: bytes, elements: Sequence[Element], order: str, path: Path) -> dict[str, Columns]:
    tables: dict[str, Columns] = {}
    at = 0
    for element in elements:
        try:
            tables[element.name], at = _table(body, at, element, order)
        except ValueError as error:
            raise _cut_off(path, element) from error
    last = elements[-1]
    width = 0 if any(value.counted for value in last.values) else _kind(last, [], order).itemsize
    if width and (more := (len(body) - at) // width):
        raise DataError(f"{path} is damaged: it promises {last.rows} {last.what} and has {last.rows + more}")
    return tables


def _table(body: bytes, at: int, element: Element, order: str) -> tuple[Columns, int]:
    """The table that begins at this byte, and where it ends; raises `ValueError` for one that is not whole."""
    lists = [place for place, value in enumerate(element.values) if value.counted]
    kind = _kind(element, _counts(body, at, element, order) if element.rows else [0] * len(lists), order)
    end = at + element.rows * kind.itemsize
    table = np.frombuffer(body, kind, element.rows, at) if element.rows and end <= len(body) else np.empty(0, kind)
    if len(table) == element.rows and all((table[f"{place} counted"] == table[f"{place} counted"][:1]).all() for place in lists):
        return _first({place: table[str(place)] for place, _ in enumerate(element.values)}, element), end
    columns: dict[int, list[Any]] = {place: [] for place, _ in enumerate(element.values)}
    for _ in range(element.rows):
        kind = _kind(element, _counts(body, at, element, order), order)
        row = np.frombuffer(body, kind, 1, at)[0]
        for place, values in columns.items():
            values.append(row[str(place)])
        at += kind.itemsize
    return _first(columns, element), at


def _first(columns: Mapping[int, Column], element: Element) -> Columns:
    """Of several columns of one name the first."""
    return {value.name: columns[place] for place, value in reversed([*enumerate(element.values)])}


def _counts(body: bytes, at: int, element: Element, order: str) -> list[int]:
    """How many numbers each list of the row that begins at this byte has."""
    counts: list[int] = []
    for value in element.values:
        size = 1
        if value.counted:
            size = int(np.frombuffer(body, order + value.counted, 1, at)[0])
            at += np.dtype(value.counted).itemsize
            counts.append(size)
        at += size * np.dtype(value.kind).itemsize
        if size < 0 or at > len(body):
            raise ValueError
    return counts


def _kind(element: Element, counts: Sequence[int], order: str) -> np.dtype:
    """Of a row whose lists have so many numbers."""
    sizes = iter(counts)
    fields: list[Any] = []
    for place, value in enumerate(element.values):
        if value.counted:
            fields += [(f"{place} counted", order + value.counted), (str(place), order + value.kind, (next(sizes),))]
        else:
            fields.append((str(place), order + value.kind))
    return np.dtype(fields)
