"""Polygons are cut into triangles that cover them and nothing else; none is lost, whatever it is like."""

from pathlib import Path

import numpy as np
import pytest

from ditkit.errors import DataError
from ditkit.shapes.clouds import areas
from ditkit.shapes.polygons import Polygons, triangulated
from ditkit.shapes.text_meshes import read_obj
from tests.closeness import assert_close

TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]  # into a plane that is no plane of two axes


def star(corners: int, seed: int) -> np.ndarray:
    """Seen from inside all its corners come in turn, so that no side crosses another."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) * 0.2 + np.linspace(0, 2 * np.pi, corners, endpoint=False) * 0.8
    return rng.uniform(0.2, 1, (corners, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def covered(flat: np.ndarray) -> tuple[float, int]:
    """The area of a polygon's triangles, and how many there are."""
    vertices = np.concatenate([flat, np.zeros((len(flat), 1))], axis=1) @ TURN + [3, -1, 2]
    triangles = triangulated(Polygons(vertices, [list(range(len(flat)))]))
    return float(areas(vertices, triangles).sum()), len(triangles)


@pytest.mark.parametrize("corners", [4, 5, 9, 40])
@pytest.mark.parametrize("seed", range(5))
def test_a_polygon_of_any_shape_is_covered_once(corners: int, seed: int) -> None:
    """Triangles of as much area as the polygon (the shoelace formula) that lie in none other are all of it: more would overlap."""
    flat = star(corners, seed)
    (x, y), (ahead_x, ahead_y) = flat.T, np.roll(flat, -1, axis=0).T
    for turned in (flat, flat[::-1]):  # to the left and to the right
        area, count = covered(turned)
        assert count == corners - 2
        assert_close(area, abs((x * ahead_y - ahead_x * y).sum()) / 2, corners, size=10)


def test_a_ring_with_a_hole_that_a_seam_opens_is_covered_without_the_hole() -> None:
    outer, inner = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)], [(1, 1), (1, 3), (3, 3), (3, 1), (1, 1)]
    area, count = covered(np.array(outer + inner, dtype=float))
    assert count == 8
    assert_close(area, 12.0, 10, size=10)


def test_polygons_that_lie_in_no_plane_or_name_a_corner_twice_are_not_lost() -> None:
    twisted = np.random.default_rng(1).normal(size=(60, 3))
    for size in (4, 5, 7):
        polygons = [list(range(first, first + size)) for first in range(50)]
        assert len(triangulated(Polygons(twisted, polygons))) == 50 * (size - 2)
    square = np.array([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]])
    assert areas(square, triangulated(Polygons(square, [[0, 1, 1, 2, 3]]))).sum() == 2
    assert len(triangulated(Polygons(square, [[0, 1], [0, 1, 2]]))) == 1  # a line has no surface


def test_an_obj_may_have_comments_behind_its_numbers_and_counts_from_one(tmp_path: Path) -> None:
    file = tmp_path / "a.obj"
    file.write_text("v 0 0 0 # first\nv 1 0 0\nv 0 1 0#\nf 1 2 -1 # all\n")
    assert read_obj(file).polygons == [[0, 1, 2]]
    file.write_text("v 0 0 0\nf 0 1 2\n")
    with pytest.raises(DataError, match=r"a\.obj, line 2 is no vertex or face of an .obj: corners are counted from 1, and one is 0$"):
        read_obj(file)
