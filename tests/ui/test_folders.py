"""Runs are found below one folder, and nothing outside of it is."""

import pytest

from ditkit.errors import OutputError
from ditkit.ui.folders import Served, captions


@pytest.fixture
def served(tmp_path):
    for name in ("a", "group/b", "plain", ".hidden"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("a", "group/b", ".hidden"):
        (tmp_path / "runs" / name / "manifest.json").write_text("{}")
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "runs" / "a" / "notes.txt").write_text("mine")
    (tmp_path / "runs" / "link.json").symlink_to(tmp_path / "secret.json")
    return Served(tmp_path / "runs")


def test_runs_are_listed_by_their_names_in_groups_too(served):
    assert sorted(served.runs()) == ["a", "group/b"]
    assert Served(served.root / "nowhere").runs() == []


@pytest.mark.parametrize(
    "name", ["../secret.json", "a/../../secret.json", "/etc/passwd", "link.json", "a\0b.json", "a", "none.png", "a/notes.txt"]
)
def test_what_is_elsewhere_or_not_for_pages_is_refused(served, name):
    with pytest.raises(OutputError):
        served.file(name)


def test_a_file_has_another_address_once_it_is_written_anew(served):
    file = served.file("group/b/manifest.json")
    assert served.url(served.root / "group/b/manifest.json").startswith("/files/group/b/manifest.json?")
    assert file == (served.root / "group/b/manifest.json").resolve()


def test_a_file_that_was_removed_while_it_was_listed_is_no_trouble(served):
    assert served.url(served.root / "a" / "gone.png") == "/files/a/gone.png?0"


def test_captions_say_what_is_known_so_far():
    assert captions({}, 1) == ["sample 0"]
    assert captions({"request": {"seeds": [5, 6]}}, 1) == ["seed 5"]
    assert captions({"request": {"seeds": [5]}, "images": [{"class": "fox", "seed": 5}]}, 2) == ["fox, seed 5", "sample 1"]
