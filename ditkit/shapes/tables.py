"""Clouds as text, a point on each line: .xyz, .pts, .txt and .csv of scanners and data sets.

Shapes: P points, C columns.
"""

import re
from pathlib import Path

import numpy as np

from ditkit.errors import DataError
from ditkit.files.text import lines_of, read_text

BETWEEN = re.compile(r"[\s,;]+")  # columns
COMMENTS = ("#", "//")


def read_table(path: Path) -> np.ndarray:
    """The numbers (P, C) of a text file; comments, a line of names before them and a count of points are left out.

    Raises `DataError` for what is no such table, or has more or fewer points than it counts.
    """
    rows = [
        (number, [word for word in BETWEEN.split(line) if word])
        for number, line in enumerate(lines_of(read_text(path, "cloud", DataError)), 1)
        if line.strip() and not line.lstrip().startswith(COMMENTS)
    ]
    if rows and rows[0][1][0].lower().strip("\"'") in ("x", "px"):  # names of columns
        rows = rows[1:]
    counted = int(rows.pop(0)[1][0]) if len(rows) > 1 and len(rows[0][1]) == 1 and rows[0][1][0].isdecimal() else None
    if counted is not None and counted != len(rows):
        raise DataError(f"{path} is cut off or damaged: it counts {counted} points and has {len(rows)}")
    columns = len(rows[0][1]) if rows else 0
    for number, words in rows:
        if len(words) != columns:
            raise DataError(f"{path}, line {number} has {len(words)} columns, and the first point has {columns}; give one point a line")
    try:
        return np.array([words for _, words in rows], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path} is no table of points: {error}") from error
