from pathlib import Path

import pytest

from ditkit.errors import OutputError
from ditkit.files import write_atomically


def test_the_folder_is_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.txt", lambda part: part.write_text("new"))
    assert (tmp_path / "a" / "b.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "b.txt"
    target.write_text("old")

    def fail(part: Path) -> None:
        part.write_text("half of the n")
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        write_atomically(target, fail)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_the_temporary_file_keeps_the_ending_that_writers_go_by(tmp_path: Path) -> None:
    write_atomically(tmp_path / "grid.png", lambda part: part.write_text(part.suffix))
    assert (tmp_path / "grid.png").read_text() == ".png"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file is a file, not a folder; choose another with --out$"):
        write_atomically(tmp_path / "file" / "b.txt", lambda part: part.write_text("x"))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"cannot write .*b\.txt: No space left on device"):
        write_atomically(tmp_path / "b.txt", fill)
