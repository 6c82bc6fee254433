"""Surfaces around clouds."""

from pathlib import Path

import numpy as np
import pytest

from ditkit.errors import DataError
from ditkit.shapes.clouds import read_points
from ditkit.shapes.meshes import alpha_shape, write_obj
from tests.closeness import near


def ball(count: int = 1500, radius: float = 1.0) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return (radius * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("radius", [0.01, 100.0])
def test_the_surface_of_a_ball_is_found_at_any_size(radius: float, tmp_path: Path) -> None:
    mesh = alpha_shape(ball(radius=radius))
    a, b, c = (mesh.vertices[mesh.triangles[:, corner]] for corner in range(3))
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    assert area == near(4 * np.pi * radius**2, within=0.4 * np.pi * radius**2)
    write_obj(tmp_path / "ball.obj", mesh)
    again = read_points(tmp_path / "ball.obj", 1000)
    assert np.linalg.norm(again, axis=1).max() <= 1.001 * radius


@pytest.mark.parametrize("points", [np.ones((20, 3)), np.eye(20, 3), np.full((20, 3), np.nan)])
def test_points_that_enclose_nothing_have_no_surface(points: np.ndarray) -> None:
    with pytest.raises(DataError, match="a cloud whose points lie in a plane, or are not finite, has no surface around it"):
        alpha_shape(points)
