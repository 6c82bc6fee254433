"""Clouds as text, a point on each line: .xyz, .pts, .txt and .csv of scanners and data sets.

Shapes: P points, C columns.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ditkit.errors import DataError
from ditkit.files.text import lines_of, read_text

DECIMAL_COMMAS = re.compile(r"\d,\d+[\s;]+-?\d+,\d")
COMMENTS = ("#", "//")
AXES = ("x", "y", "z")
NAMES = {name: axis for axis in AXES for name in (axis, f"p{axis}", f"//{axis}")}  # that columns have


def read_table(path: Path) -> np.ndarray:
    """The numbers (P, C) of a text file, of columns with names those called x, y and z; comments and a count of points are left out.

    Raises `DataError` for what is no such table, or has more or fewer points than it counts.
    """
    text = read_text(path, "cloud", DataError)
    lines = [(number, line) for number, line in enumerate(lines_of(text), 1) if line.strip() and not line.lstrip().startswith(COMMENTS)]
    if decimal := next((number for number, line in lines if DECIMAL_COMMAS.search(line)), None):
        raise DataError(f"{path}, line {decimal} has decimal commas; write its numbers with points")
    rows = [(number, _words(line)) for number, line in lines]
    chosen = _named(rows[0][1], path) if rows and not _is_number(rows[0][1][0]) else None
    if chosen:
        rows = rows[1:]
    counted = int(rows.pop(0)[1][0]) if len(rows) > 1 and len(rows[0][1]) == 1 and rows[0][1][0].isdecimal() else None
    if counted is not None and counted != len(rows):
        raise DataError(f"{path} is cut off or damaged: it counts {counted} points and has {len(rows)}")
    columns = len(rows[0][1]) if rows else 0
    for number, words in rows:
        if len(words) != columns:
            raise DataError(f"{path}, line {number} has {len(words)} columns, and the first point has {columns}; give one point a line")
    if not text.isascii() or "_" in text:  # numpy would read more into them than digits
        _check_digits(rows, path)
    try:
        table = np.array([words for _, words in rows], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path} is no table of points: {error}") from error
    return table[:, chosen] if chosen and max(chosen) < columns else table


def _words(line: str) -> list[str]:
    """What stands in the columns, which semicolons part, else commas, else blanks; nothing stands behind the last."""
    between = next((sign for sign in ";," if sign in line), None)
    return [word.strip().strip("\"'") for word in line.strip().rstrip(f"{between} ").split(between)] if between else line.split()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _named(names: Sequence[str], path: Path) -> list[int]:
    """The places of x, y and z among the names of columns; raises `DataError` if they are not all there."""
    axes = [NAMES.get(name.strip("\"'").lower()) for name in names]
    if missing := [axis for axis in AXES if axis not in axes]:
        raise DataError(f"{path} is no table of points: its first line is '{' '.join(names)[:60]}', which names no {' and '.join(missing)}")
    return [axes.index(axis) for axis in AXES]


def _check_digits(rows: Sequence[tuple[int, Sequence[str]]], path: Path) -> None:
    for number, words in rows:
        if strange := [word for word in words if not word.isascii() or "_" in word]:
            raise DataError(f"{path}, line {number} is no point: '{strange[0][:40]}' is no number in ASCII digits")
