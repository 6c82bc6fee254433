"""Pictures of clouds: where things are, how they are lit and what colours they have."""

import sys
from importlib.abc import MetaPathFinder

import numpy as np
import pytest
from PIL import Image

from ditkit.errors import MissingDependency
from ditkit.shapes.backend import open3d
from ditkit.shapes.meshes import alpha_shape
from ditkit.shapes.preview import by_height, camera, fitted, of_cloud, of_mesh, turntable
from tests.closeness import assert_close, near
from tests.shapes.test_meshes import ball


def drawn(image: Image.Image) -> np.ndarray:
    """Which pixels are not background."""
    return np.asarray(image).min(axis=-1) < 250


def test_a_ball_is_drawn_whole_in_the_middle_from_every_side() -> None:
    for scene in (of_cloud(5 + ball()), of_mesh(alpha_shape(ball()))):
        for turn in (0.0, 130.0):
            seen = drawn(scene.picture(48, turn))
            rows, columns = np.nonzero(seen)
            assert rows.mean() == near(23.5, within=1) and columns.mean() == near(23.5, within=1)
            assert not seen[0].any() and not seen[:, -1].any()
            assert 0.45 < seen.mean() < 0.75


def test_up_is_up_and_has_the_colour_of_the_top() -> None:
    pole = np.stack([np.zeros(200), np.linspace(0, 1, 200), np.zeros(200)], axis=1)
    pixels = np.asarray(of_cloud(pole).picture(64)).astype(float)
    rows = np.nonzero(drawn(of_cloud(pole).picture(64)).any(axis=1))[0]
    top, bottom = pixels[rows[4]].min(axis=0), pixels[rows[-5]].min(axis=0)
    assert top[2] < top[1] and bottom[2] > bottom[1]  # yellow, blue


def test_the_camera_sees_the_front_and_left_of_it() -> None:
    eye, axes = camera(0.0)
    assert eye[2] > 0 and eye[1] > 0
    assert_close(axes @ axes.T, np.eye(3))
    assert_close(camera(360.0)[0], eye)


def test_colours_go_from_the_first_to_the_last() -> None:
    colours = by_height(np.array([0.0, 1.0]))
    assert colours[0, 2] > colours[0, 0] and colours[1, 0] > colours[1, 2]


def test_what_is_fitted_lies_in_the_unit_ball_whatever_a_stray_point_does() -> None:
    points = ball(1000) * 9 + 4
    points[0] = 1e4
    distances = np.linalg.norm(fitted(points, points)[1:], axis=1)
    assert distances.max() == near(1.0, within=0.05) and distances.min() > 0.9


def test_a_turntable_shows_all_scenes_in_every_frame() -> None:
    frames = turntable([of_cloud(ball(100))] * 3, side=16, frames=2)
    assert [frame.size for frame in frames] == [(32, 32)] * 2
    assert not drawn(frames[0])[16:, 16:].any()


def test_without_open3d_one_line_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(MissingDependency, match=r"^meshes and pictures of clouds need open3d: pip install open3d-cpu \(or open3d\)$"):
        open3d()


@pytest.mark.parametrize(
    ("reason", "package"),
    [
        ("libusb-1.0.so.0: cannot open shared object file: No such file or directory", "libusb-1.0-0"),
        ("undefined symbol: usb_open", "libx11-6 libgl1 libegl1 libgomp1 libusb-1.0-0 libidn2-0"),
    ],
)
def test_where_open3d_misses_a_library_one_line_names_its_package(reason: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(MetaPathFinder):
        def find_spec(self, fullname: str, *_: object) -> None:
            if fullname == "open3d":
                raise ImportError(reason)

    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingDependency) as caught:
        open3d()
    assert str(caught.value) == f"meshes and pictures of clouds need open3d, which does not load ({reason}); apt install {package}"
