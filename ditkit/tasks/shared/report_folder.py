"""The folder that a command's report goes into, held while it works, so that two of them do not mix their files."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ditkit.files.in_use import in_use


@contextlib.contextmanager
def reporting_into(folder: Path) -> Iterator[None]:
    """Hold it, by torchrun's first process. Raises `OutputError` as `in_use`, before anything is measured in vain."""
    with in_use(folder) if os.environ.get("RANK", "0") == "0" else contextlib.nullcontext():
        yield
