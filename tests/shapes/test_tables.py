from pathlib import Path

import numpy as np
import pytest

from ditkit.errors import DataError
from ditkit.shapes.clouds import read_points

POINTS = np.random.default_rng(0).integers(-100, 100, size=(20, 3)) / 8


def rows(between: str = " ", points: np.ndarray = POINTS) -> str:
    return "\n".join(between.join(map(str, point)) for point in points.tolist())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", rows(", ")),
        ("a.txt", rows("\t")),
        ("a.csv", "x,y,z\n" + rows(",")),
        ("a.csv", "\ufeffX;Y;Z\r\n" + rows(";").replace("\n", "\r\n")),
        ("a.csv", ",x,y,z\n" + rows(",", np.hstack([np.arange(20)[:, None], POINTS]))),  # as pandas writes an index
        ("a.csv", '"id","x","y","z","label"\n' + rows(",", np.hstack([np.ones((20, 1)), POINTS, np.ones((20, 1))]))),
        ("a.csv", "z,x,y\n" + rows(",", POINTS[:, [2, 0, 1]])),
        ("a.txt", "//X Y Z\n" + rows()),  # a comment
        ("a.txt", "X Y Z R G B\n" + rows(points=np.hstack([POINTS, np.ones((20, 3))]))),
        ("a.csv", rows(",").replace("\n", ",\n")),  # a sign behind the last column
        ("a.xyz", "# made by a scanner\n\n" + rows().replace("\n", "\n\n")),
    ],
)
def test_columns_are_found_by_their_names_or_else_in_order(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert np.array_equal(read_points(tmp_path / name, 0), POINTS)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("label,red\n" + rows(","), "is no table of points: its first line is 'label red', which names no x and y and z"),
        ("x,z\n" + rows(","), "is no table of points: its first line is 'x z', which names no y"),
        (rows(";").replace(".", ","), "line 1 has decimal commas; write its numbers with points"),
        ("0 0 0\n" + rows().replace(".", ","), "line 2 has decimal commas; write its numbers with points"),
        ("0 0 0\n\u0663 0 0\n" + rows(), "line 2 is no point: '\u0663' is no number in ASCII digits"),
        ("0 0 0\n1_0 0 0\n" + rows(), "line 2 is no point: '1_0' is no number in ASCII digits"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"a\.csv,? ({line})"):
        read_points(tmp_path / "a.csv", 0)
