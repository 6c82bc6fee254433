"""Clouds in .pcd files, those of the Point Cloud Library."""

import re
from pathlib import Path

import numpy as np

from ditkit.errors import DataError
from ditkit.shapes.backend import quietly

HEADER = re.compile(rb"^(FIELDS|COUNT|POINTS|DATA)[ \t]+([^\r\n]*)", re.MULTILINE)
START = re.compile(rb"^DATA[ \t]+\w+[ \t]*\r?\n", re.MULTILINE)


def read_pcd(path: Path) -> np.ndarray:
    """The points (P, 3) of a .pcd as text, binary or packed; raises `DataError` for one that has fewer than it promises."""
    content = path.read_bytes()
    said, start = {name: value.split() for name, value in HEADER.findall(content[:4096])}, START.search(content)
    try:
        promised, kind, fields = int(said[b"POINTS"][0]), said[b"DATA"][0], said[b"FIELDS"]
        sizes = [int(count) for count in said.get(b"COUNT", [b"1"] * len(fields))]
        columns = [sum(sizes[: fields.index(axis)]) for axis in (b"x", b"y", b"z")]
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{path} is no .pcd file with x, y and z, or its header is damaged") from error
    points = _text(content[start.end() :], columns) if start and kind == b"ascii" else _through_open3d(path)
    if len(points) < promised:
        raise DataError(f"{path} is cut off: it promises {promised} points and has {len(points)} that are whole")
    return points


def _text(body: bytes, columns: list[int]) -> np.ndarray:
    """The rows that are whole; open3d would make up those that are not there."""
    rows = [words for line in body.splitlines() if len(words := line.split()) > max(columns)]
    try:
        return np.array([[float(words[column]) for column in columns] for words in rows]).reshape(-1, 3)
    except ValueError:
        return np.empty((0, 3))


def _through_open3d(path: Path) -> np.ndarray:
    with quietly() as library:
        cloud = library.t.io.read_point_cloud(str(path), remove_nan_points=False)  # the older one makes zeros of doubles
        return cloud.point.positions.numpy() if "positions" in cloud.point else np.empty((0, 3))
