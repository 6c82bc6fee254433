"""What lies in folders that people keep data in, without what their systems leave there."""

from collections.abc import Sequence
from pathlib import Path

LEFT_BY_SYSTEMS = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini"}
NAMED = 3  # of a list of files, in a message


def is_data(path: Path) -> bool:
    """Whether somebody put this there: it is not hidden, nor left by macOS, Windows or a Synology."""
    return not path.name.startswith(".") and path.name.lower() not in LEFT_BY_SYSTEMS


def folders_in(folder: Path) -> list[Path]:
    """The folders in this one, in alphabetical order."""
    return sorted(path for path in folder.iterdir() if is_data(path) and path.is_dir())


def files_in(folder: Path) -> list[Path]:
    """The files in this folder itself, in alphabetical order; what is neither file nor folder is none."""
    return sorted(path for path in folder.iterdir() if is_data(path) and path.is_file())


def files_below(folder: Path, passed: frozenset[Path] = frozenset()) -> list[Path]:
    """The files in this folder and in those below it, links followed, but not in a circle."""
    here = folder.resolve()
    if here in passed:
        return []
    below = [file for inner in folders_in(folder) for file in files_below(inner, passed | {here})]
    return sorted([*files_in(folder), *below])


def named(paths: Sequence[Path], within: Path) -> str:
    """The first ones by their names inside that folder: "a.txt, b/c.csv, d.md and 4 more"."""
    names = [path.relative_to(within).as_posix() for path in paths]
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    first = ", ".join(names[:NAMED])
    return f"{first} and {more[0]}" if more else first
