"""What is named in place of a file is opened only if it is one: reading a pipe or a device may wait for ever, or never end."""

import stat
from pathlib import Path

from ditkit.errors import DitkitError

OTHERS = {
    stat.S_IFIFO: "a pipe; write what it gives into a file first",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
MOST_TEXT = 2**28  # bytes of a text: a manifest of a million pictures has half of that


def is_special(path: Path) -> bool:
    """Whether there is something, also behind links, that is neither a file nor a folder."""
    return _kind(path) in OTHERS


def check_regular(path: Path, error: type[DitkitError], most: int | None = None) -> None:
    """Raise `error` for what is neither a file nor a folder, and for a file of more than `most` bytes.

    Of a path that cannot be looked at nothing is said: whoever opens it says what is wrong with it.
    """
    if kind := OTHERS.get(_kind(path)):
        raise error(f"{path} is not a file but {kind}")
    if most is not None and path.is_file() and (size := path.stat().st_size) > most:
        raise error(f"{path} has {size / 2**20:,.0f} MiB; what is read here has at most {most / 2**20:,.0f} MiB")


def _kind(path: Path) -> int:
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):  # not there, not permitted, too long; or NUL in its name
        return 0
