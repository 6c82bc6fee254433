"""Point clouds in files: what people have in many formats is read, what ditkit makes is written as plain PLY.

Shapes: P points, F triangles. A cloud is float32 (P, 3).
"""

import re
from pathlib import Path

import numpy as np

from ditkit.errors import DataError
from ditkit.files.atomic import write_atomically
from ditkit.shapes.backend import open3d

SUFFIXES = (".ply", ".obj", ".off", ".stl", ".npy")
LEAST_POINTS = 16
BYTES = {b"short": 2, b"ushort": 2, b"int16": 2, b"uint16": 2, b"int": 4, b"uint": 4, b"int32": 4, b"uint32": 4, b"float": 4}
BYTES |= {b"float32": 4, b"double": 8, b"float64": 8}
HEADER = "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"


def write_ply(path: Path, points_P3: np.ndarray) -> None:
    """Write a cloud, the same bytes for the same points."""
    values = np.ascontiguousarray(points_P3, dtype="<f4")
    write_atomically(path, lambda part: part.write_bytes(HEADER.format(len(values)).encode() + values.tobytes()))


def read_points(path: Path, on_surface: int, seed: int = 0) -> np.ndarray:
    """The points of a cloud, or `on_surface` points drawn evenly from the surface of a mesh, always the same for a seed.

    Raises `DataError` for what cannot be read, has fewer than 16 points or coordinates that are not finite, and
    `MissingDependency` where a file needs open3d and there is none.
    """
    if not path.is_file():
        raise DataError(f"no cloud or mesh at {path}")
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path} is neither a cloud nor a mesh that ditkit reads: {' '.join(SUFFIXES)}")
    points = _array(path) if path.suffix.lower() == ".npy" else _plain_ply(path)
    return checked(_through_open3d(path, on_surface, seed) if points is None else points, str(path))


def checked(points: np.ndarray, where: str) -> np.ndarray:
    """The points as float32; raises `DataError`, naming `where` they were found, unless they make a cloud."""
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "fiu":
        raise DataError(f"{where} holds no point cloud: its shape is {points.shape}, not (points, 3)")
    if len(points) < LEAST_POINTS:
        raise DataError(f"{where} has {len(points)} points; a cloud needs at least {LEAST_POINTS}")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32, copy=False)
    if not np.isfinite(points).all():
        raise DataError(f"{where} has coordinates that are NaN or infinite")
    return points


def on_triangles(vertices_V3: np.ndarray, triangles_F3: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` points spread evenly over a mesh's surface; needs a mesh with an area."""
    rng = np.random.default_rng(seed)
    a, b, c = (vertices_V3[triangles_F3[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(areas), size=count, p=areas / areas.sum())
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)  # the half of the parallelogram that is the triangle
    return a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"cannot read the cloud {path}: {error}") from error


def _plain_ply(path: Path) -> np.ndarray | None:
    """The points of a file as `write_ply` makes it, or None: such files are read where there is no open3d."""
    header, end, values = path.read_bytes().partition(b"end_header\n")
    said = re.fullmatch(HEADER.format(r"(\d+)").encode(), header + end)
    if said is None:
        return None
    if len(values) != 12 * int(said[1]):
        raise DataError(f"{path} is cut off or damaged: it promises {int(said[1])} points and has {len(values) / 12:g}")
    return np.frombuffer(values, "<f4").reshape(-1, 3).copy()


def _check_whole(path: Path) -> None:
    """Raise `DataError` for a PLY that ends before the vertices that it promises, of which open3d makes up the rest."""
    header, _, body = path.read_bytes().partition(b"end_header")
    said = re.search(rb"^format (ascii|binary\S*).*?^element vertex (\d+)\s+((?:property \w+ \w+\s+)+)", header, re.MULTILINE | re.DOTALL)
    if said is None:
        raise DataError(f"{path} is no PLY file with vertices, or its header is damaged")
    count = int(said[2])
    sizes = [BYTES.get(kind, 1) for kind in re.findall(rb"property (\w+)", said[3])]
    there, needed = (body.count(b"\n"), count) if said[1] == b"ascii" else (len(body), count * sum(sizes))
    if there < needed:
        raise DataError(f"{path} is cut off: it promises {count} points and ends before")


def _through_open3d(path: Path, on_surface: int, seed: int) -> np.ndarray:
    """Points of a mesh's surface, or those of a PLY that has points only."""
    if path.suffix.lower() == ".ply":
        _check_whole(path)
    library = open3d()
    with library.utility.VerbosityContextManager(library.utility.VerbosityLevel.Error):
        mesh = library.io.read_triangle_mesh(str(path))
        vertices, triangles = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
        if not len(triangles) and path.suffix.lower() == ".ply" and (cloud := library.io.read_point_cloud(str(path))).has_points():
            return np.asarray(cloud.points)
    if not len(triangles):
        raise DataError(f"{path} has neither points nor triangles that can be read")
    if not np.isfinite(vertices).all():
        raise DataError(f"{path} has coordinates that are NaN or infinite")
    if not mesh.get_surface_area() > 0:
        raise DataError(f"{path} is a mesh without a surface: all its triangles are flat")
    return on_triangles(vertices, triangles, on_surface, seed)
