"""The process that a command runs in: streams that can be written to, and a folder that is there."""

import io
import os
import sys
from typing import Any

from ditkit.errors import DitkitError

STDOUT = "standard output"


class _Stdout(io.FileIO):
    """What stands below stdout; an error of it says whose it is."""

    def write(self, content: Any) -> int | None:
        try:
            return super().write(content)
        except OSError as error:
            error.filename = STDOUT
            raise


def open_streams() -> None:
    """Give every standard stream that was closed a stand-in, so that no file is opened in its place.

    A closed stdout is one that cannot be written to, which is an error as soon as there is something to say; what is said to a closed
    stderr is lost.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free, which is this one
    if os.environ.get("COLUMNS") == "0":  # a terminal that does not know its width; rich would show nothing at all
        del os.environ["COLUMNS"]
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    below = io.BufferedWriter(_Stdout(1, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(below, encoding, "backslashreplace", line_buffering=os.isatty(1))
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def drop_stdout() -> None:
    """Let what is left of a stdout that cannot be written to fail no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def check_folder() -> None:
    """Raise `DitkitError` where the working folder has been removed: libraries would stumble over it."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise DitkitError("the folder you are in is gone; change into one that is there") from error
