"""The JSON objects that lie beside weights: config.json, model_index.json and their like."""

import json
from pathlib import Path
from typing import Any

from ditkit.errors import CheckpointError
from ditkit.files.mistaken import mistaken
from ditkit.files.regular import MOST_TEXT, check_regular


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises `CheckpointError` for anything else."""
    check_regular(path, CheckpointError, MOST_TEXT)
    try:
        content = json.loads(path.read_bytes())  # of UTF-8 or UTF-16, with a byte order mark or without
    except (OSError, ValueError, RecursionError) as error:
        instead = mistaken(path) if path.is_file() else None
        raise CheckpointError(f"{path} {instead or f'is not readable JSON: {error}'}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return content
