"""Networks that other libraries read, whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ditkit.errors import CheckpointError


@contextmanager
def loading(wrong: str, way_out: str = "") -> Iterator[None]:
    """Make a `CheckpointError` of whatever is raised inside: what is `wrong`, why, and the way out."""
    try:
        yield
    except Exception as error:  # a wrong file can make transformers and torch raise anything
        kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
        raise CheckpointError(f"{wrong}: {kind}{' '.join(str(error).split())[:160]}{way_out}") from error


def whole(family: Any, folder: str | Path, **options: Any) -> Any:
    """What `family` of transformers reads from a folder, to be used as it is; raises `ValueError` if tensors are missing."""
    network, report = family.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"it lacks {len(missing)} tensors, first {missing[0]}")
    return network.eval().requires_grad_(False)
