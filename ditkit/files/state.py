"""What a training needs to go on: the same bytes for the same state, so that a checksum can prove that nothing was lost."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ditkit.errors import CheckpointError
from ditkit.files.atomic import write_atomically
from ditkit.files.regular import check_regular


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values atomically; raises `OutputError` with the system's reason where that cannot be done."""

    def write(part: Path) -> None:
        with part.open("wb") as file:  # given a name, torch writes it into the file
            try:
                torch.save(_settled(state), file)
            except RuntimeError as error:
                raise _of_system(error) from error

    write_atomically(path, write)


def read_state(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """What `write_state` wrote, on the CPU; raises `CheckpointError` for what is none. `mapped` tensors stay in the file till used."""
    check_regular(path, CheckpointError)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises many kinds, and its advice is to let the file run code
        raise CheckpointError(f"{path} is damaged, or no state of a training; move it away to start afresh") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds no state of a training; move it away to start afresh")
    return state


def _settled(value: Any) -> Any:
    """The same in one order and without shared parts, both of which a pickle would show: they differ once a state has been read."""
    if isinstance(value, Mapping):
        return {_settled(key): _settled(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return type(value)(map(_settled, value))
    return sys.intern(value) if type(value) is str else value


def _of_system(error: RuntimeError) -> Exception:
    """What the system said when torch could not write, in place of what torch made of it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause or error
