"""Uploads are what they should be, or refused in one line."""

import base64
from pathlib import Path

import numpy as np
import pytest

from ditkit.config.layouts import EXAMPLE, NAMED, shipped
from ditkit.errors import DitkitError
from ditkit.shapes.clouds import write_ply
from ditkit.ui import uploads


def uploaded(data: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"


def test_layouts_are_read_as_from_a_file():
    assert len(uploads.layouts_in(uploaded(shipped(EXAMPLE).encode()), "boxes.json")) == 1
    assert len(uploads.layouts_in(uploaded(shipped(NAMED["held-out"]).encode()), "held-out.JSONL")) == 100


@pytest.mark.parametrize(
    "data, said",
    [
        (b"{", "b.json is not JSON: "),
        (b"\xff\xfe", "b.json is no layout: it is not text in UTF-8"),
        (b"[]", "b.json holds no layout"),
        (b'{"prompt": "a fox", "phrases": [{"text": "fox", "boxes": [[0, 0, 2, 1]]}]}', "b.json: the box"),
        (b" " * (uploads.LARGEST_LAYOUT + 1), "b.json has 1.0 MiB; at most 1 MiB are taken here"),
    ],
)
def test_what_is_no_layout_is_refused(data, said):
    with pytest.raises(DitkitError) as error:
        uploads.layouts_in(uploaded(data), "b.json")
    assert str(error.value).startswith(said)


def test_a_cloud_is_kept_by_what_it_holds(tmp_path):
    write_ply(tmp_path / "part.ply", np.random.default_rng(0).normal(size=(40, 3)))
    contents = uploaded((tmp_path / "part.ply").read_bytes())
    kept, points = uploads.kept_cloud(contents, "../../Part.PLY", tmp_path / "parts")
    again, _ = uploads.kept_cloud(contents, "other.ply", tmp_path / "parts")
    assert kept == again and kept.parent == tmp_path / "parts" and len(points) == 40


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("a.exe", b"MZ", "a.exe is neither a cloud nor a mesh"),
        ("a.ply", b"nonsense", "a.ply is no PLY file"),
        ("a.xyz", b"1 2 3\n", "a.xyz has 1 points"),
    ],
)
def test_what_is_no_cloud_is_refused_and_not_kept(tmp_path, name, data, said):
    with pytest.raises(DitkitError) as error:
        uploads.kept_cloud(uploaded(data), name, tmp_path / "parts")
    assert str(error.value).startswith(said) and not (tmp_path / "parts").exists()


def test_what_did_not_arrive_whole_is_refused(tmp_path: Path):
    with pytest.raises(DitkitError, match="did not arrive whole"):
        uploads.kept_cloud("data:;base64,!!", "a.ply", tmp_path)
