"""Clouds in files: every format is read, ours without open3d, and what is no cloud is refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ditkit.errors import DataError, MissingDependency
from ditkit.shapes import backend
from ditkit.shapes.backend import open3d
from ditkit.shapes.clouds import on_triangles, read_points, write_ply
from tests.closeness import assert_close, near, spread, tolerance

TOLERANCE = tolerance(1, dtype=torch.float32)
STRIPS = b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\nelement tristrips 0\nend_header\n"
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

    write_ply(tmp_path / "a.ply", POINTS)
    np.save(tmp_path / "a.npy", POINTS.astype(np.float16))
    mesh_file(tmp_path / "a.stl")
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    monkeypatch.setattr(backend, "open3d", missing)
    for name in ("a.ply", "a.npy", "a.obj"):
        assert read_points(tmp_path / name, 100).dtype == np.float32
    with pytest.raises(MissingDependency, match="no open3d"):
        read_points(tmp_path / "a.stl", 100)


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
        ("words.npy", np.array([["a", "b", "c"]] * 20), r"words.npy holds no point cloud: its values are <U1, not numbers$"),
        ("empty.obj", b"", r"empty.obj must be downloaded again: it is empty$"),
        ("vertices.obj", b"v 0 0 0\nv 1 0 0\n", r"vertices.obj has 2 points; a cloud needs at least 16$"),
        ("corner.obj", b"v 0 0 0\nv 1 0\n", r"corner.obj, line 2 is no vertex or face of an .obj: not enough values"),
        (
            "face.obj",
            b"v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 9\n",
            r"face.obj is damaged: a face has the vertex 8, and there are 3 \(counted from 0\)$",
        ),
        ("cut.off", b"OFF8 6 12\n0 0 0\n", r"cut.off is cut off: it promises 8 vertices and 6 faces and ends before$"),
        ("binary.off", b"OFF BINARY\n8", r"binary.off is no .off file of points in three dimensions, as text; convert it$"),
        ("strips.ply", STRIPS, "triangle strips"),
        ("rows.txt", b"0 0 0\n1 1\n", r"rows.txt, line 2 has 2 columns, and the first point has 3; give one point a line$"),
        ("words.xyz", b"a b c\n" * 20, r"words.xyz is no table of points: its first line is 'a b c', which names no x and y and z$"),
        ("few.pts", b"20\n0 0 0\n0 0 1\n", r"few.pts is cut off or damaged: it counts 20 points and has 2$"),
        (
            "turned.npy",
            np.zeros((3, 20)),
            r"turned.npy holds no point cloud: its shape is .*; its points lie along columns, transpose it$",
        ),
        ("headless.pcd", b"nonsense", r"headless.pcd is no .pcd file with x, y and z, or its header is damaged$"),
        ("pointer.off", b"version https://git-lfs.github.com/spec/v1\nsize 9\n", r"pointer.off is a Git LFS pointer, .*'git lfs pull'"),
        ("noise.ply", b"ply\nnonsense", r"noise.ply is no PLY file with vertices, or its header is damaged$"),
        ("noise.npy", b"nonsense", r"cannot read .*noise.npy as .npy of clouds"),
        ("line.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", r"line.obj is a mesh without a surface: all its triangles are flat$"),
        ("cloud.dae", b"0 0 0\n", r"cloud.dae is neither a cloud nor a mesh that ditkit reads: .ply .obj .off .stl .pcd "),
    ],
)
def test_what_is_no_cloud_is_refused_in_one_line(
    tmp_path: Path, name: str, content: np.ndarray | bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(DataError, match=message):
        read_points(path, 100)
    assert capfd.readouterr() == ("", "")  # open3d keeps its own words to itself


def test_a_file_that_is_cut_off_is_refused_whoever_wrote_it(tmp_path: Path) -> None:
    """Open3d would make up the points that are not there."""
    write_ply(own := tmp_path / "own.ply", POINTS)
    own.write_bytes(own.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"own.ply is cut off: it promises {len(POINTS)} points and ends before$"):
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


CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]  # squares
CORNER = np.array([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]])  # an L of area 3, as one polygon


def as_text(suffix: str, vertices: np.ndarray, faces: list[list[int]]) -> str:
    places = "".join(f"{x} {y} {z}\n" for x, y, z in vertices.tolist())
    sides = "".join(f"{len(face)} {' '.join(map(str, face))}\n" for face in faces)
    match suffix:
        case "joined.off":  # as in ModelNet40
            return f"OFF{len(vertices)} {len(faces)} 0\n{places}{sides}"
        case "coloured.off":
            return f"COFF # of a program\n\n{len(vertices)} {len(faces)} 0\n{places.replace(chr(10), ' 9 9 9 255' + chr(10))}{sides}"
        case "cube.off":
            return f"OFF\n{len(vertices)} {len(faces)} 12\n{places}{sides}"
        case "cube.ply":
            head = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
            return f"{head}element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n{places}{sides}"
        case "back.obj":  # counted from the last vertex
            return "".join(f"v {line}\n" for line in places.splitlines()) + "".join(
                f"f {' '.join(str(corner - len(vertices)) for corner in face)}\n" for face in faces
            )
    lines = "".join(f"f {' '.join(f'{corner + 1}/1/1' for corner in face)}\n" for face in faces)
    return "mtllib none.mtl\n" + "".join(f"v {line}\n" for line in places.splitlines()) + f"vt 0 0\nvn 0 0 1\n{lines}l 1 8\np 3\n"


@pytest.mark.parametrize("name", ["cube.obj", "back.obj", "cube.off", "joined.off", "coloured.off", "cube.ply"])
def test_every_side_of_a_cube_of_squares_is_there(tmp_path: Path, name: str) -> None:
    """A sixth of the points lies on each, which for so many has a deviation of (5 / 36 / 3000)^1/2."""
    (tmp_path / name).write_text(as_text(name, CUBE, SIDES))
    points = read_points(tmp_path / name, 3000)
    counts = [int((np.abs(points[:, axis] - side) < 1e-6).sum()) for axis in range(3) for side in (0, 1)]
    assert sum(counts) >= len(points)  # those on an edge lie on two sides
    assert [count / len(points) for count in counts] == near([1 / 6] * 6, within=(5 / 36) ** 0.5 * spread(3000))


@pytest.mark.parametrize("name", ["cube.obj", "cube.off", "cube.ply"])
@pytest.mark.parametrize("first", range(6))
def test_a_polygon_that_is_bent_inwards_is_covered_and_nothing_beside_it(tmp_path: Path, name: str, first: int) -> None:
    turned = [(corner + first) % 6 for corner in range(6)]  # from any corner on: a fan would leave the polygon
    (tmp_path / name).write_text(as_text(name, CORNER, [turned]).replace("l 1 8\n", ""))
    points = read_points(tmp_path / name, 3000)
    assert not ((points[:, 0] > 1 + 1e-6) & (points[:, 1] > 1 + 1e-6)).any()
    shares = [float(((points[:, 0] < 1) & (points[:, 1] < 1)).mean()), float((points[:, 0] > 1).mean()), float((points[:, 1] > 1).mean())]
    assert shares == near([1 / 3] * 3, within=(2 / 9) ** 0.5 * spread(3000))


@pytest.mark.parametrize("name", ["a.obj", "a.off", "a.ply"])
def test_vertices_without_faces_are_a_cloud(tmp_path: Path, name: str) -> None:
    write = {
        "a.obj": "".join(f"v {x!r} {y!r} {z!r}\n" for x, y, z in POINTS.tolist()),
        "a.off": f"OFF\n{len(POINTS)} 0 0\n" + "".join(f"{x!r} {y!r} {z!r}\n" for x, y, z in POINTS.tolist()),
        "a.ply": as_text("cube.ply", POINTS.astype(np.float64), []),
    }
    (tmp_path / name).write_text(write[name])
    assert np.array_equal(read_points(tmp_path / name, 7), POINTS)


@pytest.mark.parametrize("name", ["a.xyz", "a.xyzn", "a.xyzrgb", "a.pts", "a.pcd", "text.pcd", "packed.pcd", "a.ply"])
def test_what_open3d_writes_is_the_same_cloud(tmp_path: Path, name: str) -> None:
    library = open3d()
    cloud = library.geometry.PointCloud(library.utility.Vector3dVector(POINTS.astype(np.float64)))
    cloud.normals = cloud.colors = library.utility.Vector3dVector(POINTS.astype(np.float64))
    assert library.io.write_point_cloud(str(tmp_path / name), cloud, write_ascii=name == "text.pcd", compressed=name == "packed.pcd")
    ten_digits = 1e-10 / torch.finfo(torch.float32).eps
    assert_close(read_points(tmp_path / name, 5), POINTS, 1 + ten_digits)


@pytest.mark.parametrize(
    ("name", "delimiter", "options"),
    [("a.txt", " ", {}), ("b.txt", ",", {}), ("a.csv", ";", {"header": "x;y;z", "comments": ""}), ("a.xyz", "\t", {"header": "scan"})],
)
def test_what_numpy_writes_as_text_is_the_same_cloud(tmp_path: Path, name: str, delimiter: str, options: dict[str, str]) -> None:
    np.savetxt(tmp_path / name, POINTS, "%.9g", delimiter, **options)  # 9 digits tell every float32 from its neighbours
    assert np.array_equal(read_points(tmp_path / name, 5), POINTS)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pth", "a.txt"])
def test_of_more_columns_the_first_three_are_taken_and_said(tmp_path: Path, name: str) -> None:
    wide, said = np.concatenate([POINTS, -POINTS], axis=1), []
    match name:
        case "a.npy":
            np.save(tmp_path / name, np.asfortranarray(wide))
        case "a.npz":
            np.savez(tmp_path / name, whatever=wide)
        case "a.pth":
            torch.save(torch.from_numpy(wide), tmp_path / name)
        case _:
            np.savetxt(tmp_path / name, wide, "%.9g")
    assert np.array_equal(read_points(tmp_path / name, 5, note=said.append), POINTS)
    assert said == ["of clouds with more than 3 columns the first three are taken as x, y and z"]


def test_a_tensor_in_a_dictionary_or_of_another_precision_is_a_cloud(tmp_path: Path) -> None:
    torch.save({"points": torch.from_numpy(POINTS)[None]}, tmp_path / "a.pt")
    assert np.array_equal(read_points(tmp_path / "a.pt", 5), POINTS)
    torch.save(torch.from_numpy(POINTS).bfloat16(), tmp_path / "b.pth")
    assert np.array_equal(read_points(tmp_path / "b.pth", 5), torch.from_numpy(POINTS).bfloat16().float().numpy())


def test_a_file_of_torch_that_is_no_cloud_is_called_what_it_is(tmp_path: Path) -> None:
    for content, what in (
        ([1, 2], r"holds a list and not one tensor of points; save that alone, with torch.save$"),
        ({"a": torch.zeros(20, 3), "b": torch.zeros(20, 3)}, r"holds a, b, and one cloud is wanted; save it alone$"),
    ):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(DataError, match=what):
            read_points(tmp_path / "a.pth", 5)


@pytest.mark.parametrize("name", ["text.pcd", "a.pcd", "cube.ply"])
def test_what_is_cut_off_is_said_and_nothing_else(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    if name == "cube.ply":
        (tmp_path / name).write_text(as_text(name, CUBE, SIDES))
    else:
        library = open3d()
        cloud = library.geometry.PointCloud(library.utility.Vector3dVector(POINTS.astype(np.float64)))
        library.io.write_point_cloud(str(tmp_path / name), cloud, write_ascii=name == "text.pcd")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) - 20])
    capfd.readouterr()
    with pytest.raises(DataError, match=f"{name} is cut off"):
        read_points(tmp_path / name, 100)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "size"), [("F", 4), ("F", 8), ("I", 2), ("I", 4), ("U", 1)])
def test_a_pcd_of_every_type_is_read(tmp_path: Path, kind: str, size: int) -> None:
    points = np.random.default_rng(1).integers(0, 100, size=(20, 3))
    header = f"VERSION .7\nFIELDS x y z\nSIZE {size} {size} {size}\nTYPE {kind} {kind} {kind}\nCOUNT 1 1 1\nWIDTH 20\nHEIGHT 1\n"
    kinds = {"F": "f", "I": "i", "U": "u"}
    body = points.astype(f"<{kinds[kind]}{size}").tobytes()
    (tmp_path / "a.pcd").write_bytes(f"{header}VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 20\nDATA binary\n".encode() + body)
    assert np.array_equal(read_points(tmp_path / "a.pcd", 0), points)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["obj", "off"])
def test_a_byte_order_mark_is_no_part_of_the_first_vertex(tmp_path: Path, ending: str, encoding: str) -> None:
    corners = "1 1 0\n0 1 0\n0 0 0\n1 0 0\n"
    text = f"OFF\n4 1 0\n{corners}4 0 1 2 3\n" if ending == "off" else "v " + corners.strip().replace("\n", "\nv ") + "\nf 1 2 3 4\n"
    (tmp_path / f"a.{ending}").write_text(text, encoding=encoding)
    points = read_points(tmp_path / f"a.{ending}", 500)
    assert np.array_equal(points[:, 2], np.zeros(500)) and all(points[:, :2].max(0) > 0.9) and all(points[:, :2].min(0) < 0.1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_tensors_that_are_no_plain_numbers_are_no_cloud(tmp_path: Path) -> None:
    points = torch.from_numpy(POINTS)
    for kind, odd in (("sparse", points.to_sparse()), ("complex", (points + 0j).conj()), ("empty (meta)", points.to("meta"))):
        torch.save(odd, tmp_path / "a.pt")
        with pytest.raises(DataError) as caught:
            read_points(tmp_path / "a.pt", 0)
        assert str(caught.value) == f"{tmp_path / 'a.pt'} holds {kind} tensors; save plain ones"


def test_of_several_arrays_those_called_points_are_the_cloud(tmp_path: Path) -> None:
    for name in ("points", "xyz", "pos"):
        arrays: dict[str, Any] = {"normals": POINTS[::-1], name: POINTS}
        np.savez(tmp_path / "a.npz", **arrays)
        assert np.array_equal(read_points(tmp_path / "a.npz", 0), POINTS)
    np.save(tmp_path / "a.npy", np.array([tuple(row) for row in POINTS[:, ::-1]], [(axis, "f4") for axis in "zyx"]))
    assert np.array_equal(read_points(tmp_path / "a.npy", 0), POINTS)
    torch.save({"pc": torch.from_numpy(POINTS), "label": 3, "file": "a"}, tmp_path / "a.pth")
    assert np.array_equal(read_points(tmp_path / "a.pth", 0), POINTS)


def test_coordinates_that_single_precision_cannot_keep_are_refused(tmp_path: Path) -> None:
    """As those of a scan in metres on the map of a country."""
    scan = POINTS.astype(np.float64) + np.array([5e5, 5.4e6, 400.0])
    np.savetxt(tmp_path / "a.xyz", scan, fmt="%.4f")
    with pytest.raises(
        DataError, match=r"a\.xyz lies too far from 0 to be kept in single precision, [\d.]+ across at 5\.4e\+06; centre it$"
    ):
        read_points(tmp_path / "a.xyz", 0)
    np.savetxt(tmp_path / "a.xyz", scan - scan.mean(0), fmt="%.4f")
    assert len(read_points(tmp_path / "a.xyz", 0)) == len(POINTS)
