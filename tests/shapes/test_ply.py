"""Vertices of .ply files in every order, type and byte order; what a header promises and the file has not is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ditkit.errors import DataError
from ditkit.shapes.backend import open3d
from ditkit.shapes.clouds import read_points
from ditkit.shapes.ply import TYPES, read_ply

POINTS = np.random.default_rng(0).integers(0, 100, size=(20, 3))  # which every type holds
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
SQUARES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
BIG, LITTLE = "binary_big_endian", "binary_little_endian"
XYZ = (("float", "x"), ("float", "y"), ("float", "z"))


def written(
    path: Path,
    points: np.ndarray,
    how: str = "ascii",
    columns: tuple[tuple[str, str], ...] = XYZ,
    squares: np.ndarray | None = None,
    end: str = "\n",
    promised: int | None = None,
    more: str = "",
) -> Path:
    """As the specification has it; columns that are not x, y or z hold 7."""
    sign = ">" if how == BIG else "<"
    header = ["ply", f"format {how} 1.0", "comment made by a test", f"element vertex {len(points) if promised is None else promised}"]
    header += [f"property {kind} {name}" for kind, name in columns]
    if squares is not None:
        header += [f"element face {len(squares)}", "property list uchar int vertex_indices"]
    table: Any = np.zeros(len(points), [(name, sign + TYPES[kind]) for kind, name in columns])
    for _, name in columns:
        table[name] = points[:, "xyz".index(name.lower())] if name.lower() in ("x", "y", "z") else 7
    faces = [] if squares is None else squares.tolist()
    if how == "ascii":
        rows = [" ".join(map(str, row)) for row in table.tolist()] + [f"{len(face)} {' '.join(map(str, face))}" for face in faces]
        body = "".join(f"{row}{end}" for row in rows).encode()
    else:
        body = table.tobytes() + b"".join(bytes([len(face)]) + np.array(face, f"{sign}i4").tobytes() for face in faces)
    path.write_bytes("".join(f"{line}{end}" for line in (*header, *more.splitlines(), "end_header")).encode() + body)
    return path


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("how", ["ascii", BIG, LITTLE])
def test_points_of_every_type_and_byte_order_are_read(tmp_path: Path, how: str, kind: str) -> None:
    file = written(tmp_path / "a.ply", POINTS, how, tuple((kind, axis) for axis in "xyz"))
    assert np.array_equal(read_points(file, 0), POINTS)


@pytest.mark.parametrize("order", ["zyx", "rzgyx", "xyzabc", "nxyz", "XYZ"])
@pytest.mark.parametrize("how", ["ascii", BIG, LITTLE])
def test_coordinates_are_found_by_their_names(tmp_path: Path, how: str, order: str) -> None:
    kinds = {"r": "uchar", "g": "double", "n": "short"}
    file = written(tmp_path / "a.ply", POINTS, how, tuple((kinds.get(name, "float"), name) for name in order))
    assert np.array_equal(read_points(file, 0), POINTS)


@pytest.mark.parametrize("how", ["ascii", BIG, LITTLE])
def test_a_header_may_have_windows_line_ends(tmp_path: Path, how: str) -> None:
    assert np.array_equal(read_points(written(tmp_path / "a.ply", POINTS, how, end="\r\n"), 0), POINTS)


@pytest.mark.parametrize("kind", ["float", "double", "short"])
@pytest.mark.parametrize("how", ["ascii", BIG, LITTLE])
def test_the_surface_of_squares_is_all_there(tmp_path: Path, how: str, kind: str) -> None:
    file = written(tmp_path / "a.ply", CUBE, how, tuple((kind, axis) for axis in "xyz"), SQUARES)
    vertices, polygons = read_ply(file)
    assert np.array_equal(vertices, CUBE) and np.array_equal(polygons, SQUARES)
    points = read_points(file, 600)
    on = [np.isclose(points[:, axis], side).any() for axis in range(3) for side in (0, 1)]
    assert all(on)


@pytest.mark.parametrize(
    ("how", "promised", "line"),
    [
        ("ascii", 21, "is cut off: it promises 21 points and ends before"),
        (LITTLE, 21, "is cut off: it promises 21 points and ends before"),
        (BIG, 10**15, "is cut off: it promises 1000000000000000 points and ends before"),
        ("ascii", 19, "is damaged: it promises 19 lines of points and faces and has 20"),
        (LITTLE, 19, "is damaged: it promises 19 points and has 20"),
        (LITTLE, -1, "is no PLY file with vertices, or its header is damaged"),
    ],
)
def test_more_or_fewer_points_than_are_promised_are_refused(tmp_path: Path, how: str, promised: int, line: str) -> None:
    file = written(tmp_path / "a.ply", POINTS, how, promised=promised)
    with pytest.raises(DataError, match=rf"a\.ply {line}$"):
        read_points(file, 0)


@pytest.mark.parametrize(
    ("columns", "more", "line"),
    [
        (XYZ[:2], "", "is no PLY file with vertices, or its header is damaged: it says nothing of their z"),
        (XYZ, "property list uchar int near", "is cut off: it promises 20 points and ends before"),
        (XYZ, "element face 2\nproperty list int int near", "is cut off: it promises 2 faces and ends before"),
        (XYZ, "element face 2", "has 2 faces that name no vertex_indices"),
        ((*XYZ[:2], ("float", "w")), "property half z", "is no PLY file with vertices, or its header is damaged: 'half'"),
    ],
)
def test_vertices_that_cannot_be_read_say_why(tmp_path: Path, columns: Any, more: str, line: str) -> None:
    with pytest.raises(DataError, match=rf"a\.ply {line}$"):
        read_points(written(tmp_path / "a.ply", POINTS, LITTLE, columns, more=more), 0)


def test_a_word_among_the_numbers_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.ply", POINTS)
    file.write_bytes(file.read_bytes().replace(b"end_header\n", b"end_header\nx"))
    with pytest.raises(DataError, match=r"a\.ply is damaged: 'x[\d. ]+' is no point$"):
        read_points(file, 0)


@pytest.mark.parametrize("how", [{"write_ascii": True}, {"write_ascii": False}])
def test_what_open3d_writes_is_the_same_to_the_bit(tmp_path: Path, how: dict[str, Any]) -> None:
    library = open3d()
    box = library.geometry.TriangleMesh.create_box()
    box.compute_vertex_normals()
    library.io.write_triangle_mesh(str(tmp_path / "box.ply"), box, **how)
    vertices, polygons = read_ply(tmp_path / "box.ply")
    assert np.array_equal(vertices, np.asarray(box.vertices)) and np.array_equal(polygons, np.asarray(box.triangles))


@pytest.mark.parametrize("order", ["zyx", "rzgyx"])
@pytest.mark.parametrize("how", ["ascii", BIG, LITTLE])
def test_so_are_the_faces_of_vertices_in_any_order(tmp_path: Path, how: str, order: str) -> None:
    kinds = {"r": "uchar", "g": "double"}
    file = written(tmp_path / "a.ply", CUBE, how, tuple((kinds.get(name, "float"), name) for name in order), SQUARES)
    assert np.array_equal(read_ply(file).vertices, CUBE) and np.array_equal(read_ply(file).polygons, SQUARES)


@pytest.mark.parametrize("how", ["ascii", LITTLE])
def test_tables_come_in_any_order_and_lists_have_any_length(tmp_path: Path, how: str) -> None:
    """Faces before the vertices, of three and four corners, with a list of texture coordinates besides; lists among the vertices."""
    head = f"ply\nformat {how} 1.0\nelement face 2\nproperty list uchar float texcoord\nproperty list int ushort vertex_index\n"
    head += "element vertex 4\nproperty short x\nproperty list uchar uchar near\nproperty short y\nproperty short z\nend_header\n"
    if how == "ascii":
        body = b"2 0.5 0.5 3 0 1 2\n0 4 0 1 2 3\n0 0 0 0\n1 2 9 9 0 0\n1 0 1 0\n0 1 7 1 0\n"
    else:
        body = b"\2" + np.array([0.5, 0.5], "<f4").tobytes() + np.array([3], "<i4").tobytes() + np.array([0, 1, 2], "<u2").tobytes()
        body += b"\0" + np.array([4], "<i4").tobytes() + np.array([0, 1, 2, 3], "<u2").tobytes()
        for x, near, y in ((0, b"\0", 0), (1, b"\2\x09\x09", 0), (1, b"\0", 1), (0, b"\1\7", 1)):
            body += np.array([x], "<i2").tobytes() + near + np.array([y, 0], "<i2").tobytes()
    (tmp_path / "a.ply").write_bytes(head.encode() + body)
    vertices, polygons = read_ply(tmp_path / "a.ply")
    assert vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]] and polygons == [[0, 1, 2], [0, 1, 2, 3]]
    (tmp_path / "a.ply").write_bytes(head.encode() + body[:-2])
    with pytest.raises(DataError, match=r"a\.ply is (cut off: it promises 4 points and ends before|damaged: '0 1 7 1 ?' is no point)$"):
        read_ply(tmp_path / "a.ply")
