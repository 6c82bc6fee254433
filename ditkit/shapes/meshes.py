"""A surface around a point cloud, and meshes as .obj files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ditkit.errors import DataError
from ditkit.files.atomic import write_atomically
from ditkit.shapes.backend import open3d

WIDEST = 4.5  # the radius of the balls that carve the surface out, in distances between neighbouring points


@dataclass(frozen=True)
class Mesh:
    """`vertices` (V, 3) and `triangles` (F, 3), which index them."""

    vertices: np.ndarray
    triangles: np.ndarray


def alpha_shape(points_P3: np.ndarray) -> Mesh:
    """The cloud's alpha shape (Edelsbrunner & Muecke 1994): everything that balls of a radius cannot reach without touching a point.

    The radius is a few mean distances between neighbours, so that it suits clouds of any size and density, doubled until there is
    a surface: that of a hollow ball is found only by balls as large. Raises `DataError` for points that enclose nothing, and
    `MissingDependency` where there is no open3d.
    """
    library = open3d()
    cloud = library.geometry.PointCloud(library.utility.Vector3dVector(points_P3.astype(np.float64)))
    radius = WIDEST * float(np.mean(cloud.compute_nearest_neighbor_distance()))
    try:
        with library.utility.VerbosityContextManager(library.utility.VerbosityLevel.Error):
            tetrahedra, places = library.geometry.TetraMesh.create_from_point_cloud(cloud)
            while not (mesh := _carved(cloud, radius, tetrahedra, places)).has_triangles():
                radius *= 2
    except RuntimeError as error:  # what open3d makes of Qhull's complaints
        raise DataError("a cloud whose points lie in a plane, or are not finite, has no surface around it") from error
    return Mesh(np.asarray(mesh.vertices, dtype=np.float32), np.asarray(mesh.triangles, dtype=np.int64))


def _carved(cloud: Any, radius: float, tetrahedra: Any, places: Any) -> Any:
    return open3d().geometry.TriangleMesh.create_from_point_cloud_alpha_shape(cloud, radius, tetrahedra, places)


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write a mesh, the same bytes for the same mesh."""
    lines = [f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.triangles + 1).tolist()]
    write_atomically(path, lambda part: part.write_text("\n".join(lines) + "\n", encoding="ascii"))
