"""What stands in place of a file and is none."""

import os
import socket
from pathlib import Path

import pytest

from ditkit.errors import DataError
from ditkit.files.regular import check_regular, is_special


@pytest.fixture
def there(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words"), [("pipe", "a pipe; write what it gives into a file first"), ("link", "a pipe; write"), ("device", "a device")]
)
def test_a_pipe_or_a_device_is_refused_behind_links_too(there: Path, name: str, words: str) -> None:
    with pytest.raises(DataError, match=f"^{there / name} is not a file but {words}"):
        check_regular(there / name, DataError)
    assert is_special(there / name)


def test_a_socket_is_refused(there: Path, monkeypatch) -> None:
    monkeypatch.chdir(there)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(DataError, match="^socket is not a file but a socket$"):
            check_regular(Path("socket"), DataError)


@pytest.mark.parametrize("name", ["file", ".", "loop", "nothing", "a" * 300, "nul\0"])
def test_of_anything_else_whoever_opens_it_says_what_is_wrong(there: Path, name: str) -> None:
    check_regular(there / name, DataError)
    assert not is_special(there / name)


def test_a_file_of_no_sane_size_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "sparse.txt").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"sparse.txt has 1,048,576 MiB; what is read here has at most 1 MiB$"):
        check_regular(tmp_path / "sparse.txt", DataError, 2**20)
