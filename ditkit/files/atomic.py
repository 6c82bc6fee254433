"""Files that are always whole: the old one or the new one, never half of one."""

import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ditkit.errors import DitkitError, OutputError
from ditkit.files.text import read_text


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place; makes the folder it lies in.

    Raises `OutputError` where the folder cannot be written or is full.
    """
    check_expanded(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")  # some writers go by the ending
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        check_folder_free(path.parent)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; raises `OutputError` where that cannot be done."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def remove_parts(folder: Path) -> None:
    """Remove the temporary files in a folder and below it whose writers were killed."""
    for part in folder.rglob(".*.part*"):
        writer = re.fullmatch(r"\..+\.(\d+)\.part(\.\w+)?", part.name)
        if writer and not _is_alive(int(writer[1])):
            part.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def check_writable(file: Path) -> None:
    """Raise `OutputError` where `write_atomically` could not put this file, before work is done for it."""
    check_expanded(file)
    check_folder_free(file.parent)
    if os.path.isdir(file):
        raise OutputError(f"{file} is a folder, not a file; choose another name with --out")
    try:
        tempfile.TemporaryFile(dir=next(place for place in file.parents if os.path.isdir(place))).close()
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error


def check_expanded(path: Path) -> None:
    """Raise `OutputError` for a path that begins with ~, as `--out=~/x` leaves it: it would be a folder of that name."""
    if path.parts[:1] == ("~",):
        raise OutputError(f"{path} begins with ~, which nobody has replaced by your home folder; write {Path('$HOME', *path.parts[1:])}")


def check_folder_free(path: Path) -> None:
    """Raise `OutputError` if a file stands where a folder is to be, or a link to nothing, or as `check_expanded`."""
    check_expanded(path)
    for place in (path, *path.parents):  # by `os.path`, to which what we may not look at is not there
        if os.path.isfile(place):
            raise OutputError(f"{place} is a file, not a folder; choose another with --out")
        if os.path.islink(place) and not os.path.exists(place):
            raise OutputError(f"{place} is a link to {os.readlink(place)}, which is not there; make it, or choose another with --out")


def read_json(path: Path, kind: str, error: type[DitkitError]) -> Any:
    """What a JSON file holds; raises `error`, naming the `kind` of file it should be, when it cannot be read."""
    text = read_text(path, kind, error)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:  # lists in lists without end
        raise error(f"{path} is not a {kind}: {problem}") from problem
