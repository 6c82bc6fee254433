"""A cloud is points and a surface is triangles, in figures without anything else."""

import numpy as np

from ditkit.shapes.clouds import write_ply
from ditkit.shapes.meshes import Mesh, write_obj
from ditkit.ui.solid import POINTS, solid


def test_a_cloud_is_points_and_a_surface_triangles(tmp_path):
    points = np.random.default_rng(0).normal(size=(3 * POINTS, 3)).astype(np.float32)
    write_ply(tmp_path / "a.ply", points)
    write_obj(tmp_path / "a.obj", Mesh(points[:4], np.array([[0, 1, 2], [0, 2, 3]])))
    (cloud,), (surface,) = solid(tmp_path / "a.ply").data, solid(tmp_path / "a.obj").data
    assert cloud.type == "scatter3d" and len(cloud.x) == POINTS
    assert surface.type == "mesh3d" and list(surface.k) == [2, 3]


def test_a_file_that_is_gone_is_an_empty_figure(tmp_path):
    assert solid(tmp_path / "gone.ply").data == ()
