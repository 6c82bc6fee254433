"""Clouds in files: every format is read, ours without open3d, and what is no cloud is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ditkit.errors import DataError, MissingDependency
from ditkit.shapes import clouds
from ditkit.shapes.backend import open3d
from ditkit.shapes.clouds import on_triangles, read_points, write_ply
from tests.closeness import assert_close, near, spread, tolerance

TOLERANCE = tolerance(1, dtype=torch.float32)
POINTS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float64)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def mesh_file(path: Path) -> Path:
    library = open3d()
    mesh = library.geometry.TriangleMesh(library.utility.Vector3dVector(TETRAHEDRON), library.utility.Vector3iVector(FACES))
    mesh.compute_triangle_normals()
    library.io.write_triangle_mesh(str(path), mesh)
    return path


def test_a_cloud_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", POINTS)
    write_ply(tmp_path / "b.ply", POINTS)
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
    assert np.array_equal(read_points(tmp_path / "a.ply", 100), POINTS)
    assert np.array_equal(np.asarray(open3d().io.read_point_cloud(str(tmp_path / "a.ply")).points, dtype=np.float32), POINTS)


def test_our_own_files_and_arrays_are_read_without_open3d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependency("no open3d")

    monkeypatch.setattr(clouds, "open3d", missing)
    write_ply(tmp_path / "a.ply", POINTS)
    np.save(tmp_path / "a.npy", POINTS.astype(np.float16))
    for name in ("a.ply", "a.npy"):
        assert read_points(tmp_path / name, 100).dtype == np.float32
    (tmp_path / "a.obj").write_text("v 0 0 0\n")
    with pytest.raises(MissingDependency, match="no open3d"):
        read_points(tmp_path / "a.obj", 100)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".off", ".stl"])
def test_a_mesh_is_sampled_evenly_on_its_surface(tmp_path: Path, suffix: str) -> None:
    points = read_points(mesh_file(tmp_path / f"mesh{suffix}"), 2000, seed=3)
    assert points.shape == (2000, 3)
    distance = np.minimum(points.min(axis=1), np.abs(1 - points.sum(axis=1)) / 3**0.5)  # to the nearest face
    assert float(np.abs(distance).max()) <= TOLERANCE
    slanted = float(np.mean(np.abs(points.sum(axis=1) - 1) <= TOLERANCE))
    assert slanted == near(3**0.5 / (3 + 3**0.5), within=0.5 * spread(2000))  # that face's share of the area
    assert np.array_equal(points, read_points(tmp_path / f"mesh{suffix}", 2000, seed=3))


def test_a_cloud_of_another_program_is_read_whole(tmp_path: Path) -> None:
    library = open3d()
    cloud = library.geometry.PointCloud(library.utility.Vector3dVector(POINTS.astype(np.float64)))
    library.io.write_point_cloud(str(tmp_path / "text.ply"), cloud, write_ascii=True)
    assert_close(read_points(tmp_path / "text.ply", 5), POINTS, 0.5e-5 / torch.finfo(torch.float32).eps, size=1)  # five places


def test_points_in_a_triangle_are_uniform() -> None:
    corners = np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]])
    points = on_triangles(corners, np.array([[0, 1, 2]]), 20_000, seed=0)
    assert_close(points.mean(axis=0), corners.mean(axis=0), 0.5 * spread(20_000) / np.finfo(float).eps, size=1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("few.npy", np.zeros((15, 3)), r"few.npy has 15 points; a cloud needs at least 16$"),
        ("nan.npy", np.full((20, 3), np.nan), r"nan.npy has coordinates that are NaN or infinite$"),
        ("huge.npy", np.full((20, 3), 1e300), r"huge.npy has coordinates that are NaN or infinite$"),
        ("flat.npy", np.zeros((20, 2)), r"flat.npy holds no point cloud: its shape is \(20, 2\), not \(points, 3\)$"),
        ("words.npy", np.array([["a", "b", "c"]] * 20), r"words.npy holds no point cloud"),
        ("empty.obj", b"", r"empty.obj has neither points nor triangles that can be read$"),
        ("noise.ply", b"ply\nnonsense", r"noise.ply is no PLY file with vertices, or its header is damaged$"),
        ("noise.npy", b"nonsense", r"cannot read the cloud .*noise.npy"),
        ("line.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", r"line.obj is a mesh without a surface: all its triangles are flat$"),
        ("cloud.xyz", b"0 0 0\n", r"cloud.xyz is neither a cloud nor a mesh that ditkit reads: .ply .obj .off .stl .npy$"),
    ],
)
def test_what_is_no_cloud_is_refused_in_one_line(
    tmp_path: Path, name: str, content: np.ndarray | bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(DataError, match=message):
        read_points(path, 100)
    assert capfd.readouterr().out == ""  # open3d keeps its own words to itself


def test_a_file_that_is_cut_off_is_refused_whoever_wrote_it(tmp_path: Path) -> None:
    """Open3d would make up the points that are not there."""
    write_ply(own := tmp_path / "own.ply", POINTS)
    own.write_bytes(own.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"own.ply is cut off or damaged: it promises {len(POINTS)} points and has {len(POINTS) - 2.5}$"):
        read_points(own, 100)
    library = open3d()
    cloud = library.geometry.PointCloud(library.utility.Vector3dVector(POINTS.astype(np.float64)))
    for ascii_ in (True, False):
        library.io.write_point_cloud(str(other := tmp_path / "other.ply"), cloud, write_ascii=ascii_)
        other.write_bytes(other.read_bytes()[:-200])
        with pytest.raises(DataError, match=rf"other.ply is cut off: it promises {len(POINTS)} points and ends before$"):
            read_points(other, 100)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no cloud or mesh at .*absent.ply"):
        read_points(tmp_path / "absent.ply", 100)
