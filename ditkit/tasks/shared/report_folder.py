"""The folder that a command's report goes into, held while it works, so that two of them do not mix their files."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ditkit.files.in_use import in_use


@contextlib.contextmanager
def reporting_into(folder: str | None) -> Iterator[None]:
    """Hold it, by torchrun's first process; a report that goes where its samples are is not held. Raises `OutputError` as `in_use`."""
    mine = folder is not None and os.environ.get("RANK", "0") == "0"
    with in_use(Path(str(folder))) if mine else contextlib.nullcontext():
        yield
