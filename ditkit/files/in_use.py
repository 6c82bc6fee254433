"""One process at a time works in a folder: a second one would take the first one's unfinished files for its own."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ditkit.errors import OutputError
from ditkit.files.atomic import check_folder_free


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is not there, and goes again if nothing was put into it.

    The system lets go of it however the process ends. Raises `OutputError` if another process holds it, and where it cannot be written.
    Nothing is held on systems without `flock`.
    """
    check_folder_free(folder)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write {folder}: Permission denied; choose another folder with --out")
        _hold(handle, folder)
        yield
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):  # as soon as one is not empty
            for place in made:
                place.rmdir()


def _hold(handle: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # on Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"{folder} is in use by another process; wait for it, or choose another folder with --out") from error
    except OSError:  # some network file systems cannot hold a folder
        return
