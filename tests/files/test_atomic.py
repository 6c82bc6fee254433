import os
from pathlib import Path

import pytest

from ditkit.errors import OutputError
from ditkit.files.atomic import check_folder_free, check_writable, read_json, remove_parts, write_atomically


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


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # beyond the largest number of a process: one that is gone
    left: list[Path] = []

    def killed(part: Path) -> None:
        part.write_text("half")
        left.append(part.rename(part.with_name(part.name.replace(".part", ".kept"))))

    for name in ("images/000003.png", "plan"):
        with pytest.raises(OutputError):
            write_atomically(tmp_path / name, killed)
    for part in left:
        part.rename(part.with_name(part.name.replace(".kept", ".part")))
    for name in (".hidden.part", "images/3.12.part.png", ".a.b.part.png"):
        (tmp_path / name).write_text("somebody's")
    remove_parts(tmp_path)
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()) == [
        ".a.b.part.png",
        ".hidden.part",
        "images/3.12.part.png",
    ]


def test_a_path_that_the_shell_left_as_it_was_makes_no_folder_of_that_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for check in (check_writable, check_folder_free, lambda path: write_atomically(path, lambda part: part.write_text("new"))):
        with pytest.raises(OutputError) as caught:
            check(Path("~/runs/b.txt"))
        assert str(caught.value) == "~/runs/b.txt begins with ~, which nobody has replaced by your home folder; write $HOME/runs/b.txt"
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b.txt")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="/a is a folder, not a file; choose another name with --out$"):
        check_writable(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="/file is a file, not a folder; choose another with --out$"):
        check_writable(tmp_path / "file" / "b.txt")


def test_a_link_to_nothing_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    for path in (tmp_path / "link", tmp_path / "link" / "deeper"):
        with pytest.raises(OutputError, match=r"/link is a link to gone, which is not there; make it, or choose another with --out$"):
            write_atomically(path / "b.txt", lambda part: part.write_text("new"))


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may look at everything")
def test_a_place_that_we_may_not_look_at_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(OutputError, match=r"^cannot write .*b.txt: Permission denied$"):
        write_atomically(tmp_path / "closed" / "deeper" / "b.txt", lambda part: part.write_text("new"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file is a file, not a folder; choose another with --out$"):
        write_atomically(tmp_path / "file" / "b.txt", lambda part: part.write_text("x"))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"cannot write .*b\.txt: No space left on device"):
        write_atomically(tmp_path / "b.txt", fill)


def test_lists_in_lists_without_end_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(OutputError, match=r"deep\.json is not a manifest: maximum recursion depth exceeded"):
        read_json(tmp_path / "deep.json", "manifest", OutputError)
