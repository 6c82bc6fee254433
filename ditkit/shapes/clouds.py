"""Point clouds in files: what people have in many formats is read, what ditkit makes is written as plain PLY.

Shapes: P points, F triangles. A cloud is float32 (P, 3).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ditkit.errors import DataError
from ditkit.files.atomic import write_atomically
from ditkit.files.listing import files_below
from ditkit.files.mistaken import mistaken
from ditkit.files.regular import check_regular
from ditkit.shapes import arrays
from ditkit.shapes.arrays import read_array
from ditkit.shapes.backend import quietly
from ditkit.shapes.ply import read_ply
from ditkit.shapes.point_data import read_pcd
from ditkit.shapes.polygons import Polygons, triangulated
from ditkit.shapes.tables import read_table
from ditkit.shapes.text_meshes import read_obj, read_off

Note = Callable[[str], object]
"""Takes a line that whoever asked for the clouds should see."""

MESHES = {".ply": read_ply, ".obj": read_obj, ".off": read_off}  # or clouds, without faces
ALWAYS = (*MESHES, ".stl", ".pcd", ".pts", ".xyz", ".xyzn", ".xyzrgb", ".xyzi")  # what ends so is a cloud or a mesh
PERHAPS = (".npy", ".npz", ".pth", ".pt", ".txt", ".csv")  # may be anything; a cloud where nothing else is one
ENDINGS = ALWAYS + PERHAPS
LEAST_POINTS = 16
MOST = 2**32  # bytes of a file, which is read whole
MOST_MOVED = 1e-3  # of a cloud's extent that rounding may move a point by
MOST_COLUMNS = 16  # of coordinates, normals, colours and labels; more are something else
FIRST_THREE = "of clouds with more than 3 columns the first three are taken as x, y and z"
HEADER = "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"


def find_clouds(folder: Path) -> tuple[list[Path], list[Path]]:
    """The clouds and meshes below a folder, in order, and the other files there."""
    files = files_below(folder)
    endings = ALWAYS if any(file.suffix.lower() in ALWAYS for file in files) else PERHAPS
    return [file for file in files if file.suffix.lower() in endings], [file for file in files if file.suffix.lower() not in endings]


def ignore(line: str) -> None:
    """A `Note` for those who do not want to know."""


def write_ply(path: Path, points_P3: np.ndarray) -> None:
    """Write a cloud, the same bytes for the same points."""
    values = np.ascontiguousarray(points_P3, dtype="<f4")
    write_atomically(path, lambda part: part.write_bytes(HEADER.format(len(values)).encode() + values.tobytes()))


def read_points(path: Path, on_surface: int, seed: int = 0, note: Note = ignore) -> np.ndarray:
    """The points of a cloud, or `on_surface` points drawn evenly from the surface of a mesh, always the same for a seed.

    Raises `DataError` for what cannot be read, has fewer than 16 points or coordinates that are not finite, and
    `MissingDependency` where a file needs open3d and there is none.
    """
    check_regular(path, DataError, MOST)
    if not path.is_file():
        raise DataError(f"no cloud or mesh at {path}")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"{path} is neither a cloud nor a mesh that ditkit reads: {' '.join(ENDINGS)}")
    if (instead := mistaken(path)) is not None:
        raise DataError(f"{path} {instead}")
    match ending:
        case ".ply" | ".obj" | ".off":
            points = _of_polygons(MESHES[ending](path), path, on_surface, seed)
        case ".stl":
            points = _of_stl(path, on_surface, seed)
        case ".pcd":
            points = read_pcd(path)
        case _:
            points = read_array(path) if ending in arrays.ENDINGS else read_table(path)
    return checked(points, str(path), note)


def checked(points: np.ndarray, where: str, note: Note = ignore) -> np.ndarray:
    """The points as float32, of more columns the first three; raises `DataError`, naming `where` they were found, if they are no cloud."""
    if points.ndim == 3 and len(points) == 1:
        points = points[0]
    if points.dtype.kind not in "fiu":
        raise DataError(f"{where} holds no point cloud: its values are {points.dtype}, not numbers")
    if points.ndim != 2 or not 3 <= points.shape[1] <= MOST_COLUMNS:
        turned = "; its points lie along columns, transpose it" if points.ndim == 2 and len(points) == 3 else ""
        raise DataError(f"{where} holds no point cloud: its shape is {points.shape}, not (points, 3){turned}")
    if points.shape[1] > 3:
        note(FIRST_THREE)
        points = points[:, :3]
    if len(points) < LEAST_POINTS:
        raise DataError(f"{where} has {len(points)} points; a cloud needs at least {LEAST_POINTS}")
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(points, dtype=np.float32)
    if not np.isfinite(single).all():
        raise DataError(f"{where} has coordinates that are NaN or infinite")
    moved, extent = np.abs(single - points.astype(np.float64)).max(), np.ptp(points, axis=0).max()
    if moved > extent * MOST_MOVED:
        raise DataError(
            f"{where} lies too far from 0 to be kept in single precision, {extent:.3g} across at {np.abs(points).max():.3g}; centre it"
        )
    return single


def on_triangles(vertices_V3: np.ndarray, triangles_F3: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` points spread evenly over a mesh's surface; needs a mesh with an area."""
    rng = np.random.default_rng(seed)
    weights = areas(vertices_V3, triangles_F3)
    chosen = rng.choice(len(weights), size=count, p=weights / weights.sum())
    a, b, c = (vertices_V3[triangles_F3[:, corner]] for corner in range(3))
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)  # the half of the parallelogram that is the triangle
    return a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]


def areas(vertices_V3: np.ndarray, triangles_F3: np.ndarray) -> np.ndarray:
    """Of each triangle (F,), in the square of the vertices' unit."""
    a, b, c = (vertices_V3[triangles_F3[:, corner]] for corner in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def _of_polygons(mesh: Polygons, path: Path, on_surface: int, seed: int) -> np.ndarray:
    """Points of a mesh's surface, or its vertices where it has no faces."""
    if not mesh.polygons:
        return mesh.vertices
    return _on_surface(mesh.vertices, triangulated(mesh), path, on_surface, seed)


def _of_stl(path: Path, on_surface: int, seed: int) -> np.ndarray:
    with quietly() as library:
        mesh = library.io.read_triangle_mesh(str(path))
        vertices, triangles = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    if not len(triangles):
        raise DataError(f"{path} is cut off or damaged, or no .stl at all: it has no triangles that can be read")
    return _on_surface(vertices, triangles, path, on_surface, seed)


def _on_surface(vertices: np.ndarray, triangles: np.ndarray, path: Path, count: int, seed: int) -> np.ndarray:
    if not np.isfinite(vertices).all():
        raise DataError(f"{path} has coordinates that are NaN or infinite")
    if not areas(vertices, triangles).sum() > 0:
        raise DataError(f"{path} is a mesh without a surface: all its triangles are flat")
    return on_triangles(vertices, triangles, count, seed)
