"""Reference vectors, by file name without ending: from the full set beside the checkout, else from the small one in tests/golden."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

HERE = Path(__file__).parent
FOLDERS = (HERE.parent.parent / "shared" / "golden", HERE / "golden")


def golden_path(filename: str) -> Path:
    """Where the file lies; skips the calling test if it is nowhere."""
    for folder in FOLDERS:
        if (folder / filename).exists():
            return folder / filename
    pytest.skip(f"golden file {filename} is not here")


def golden(name: str) -> dict[str, Tensor]:
    return load_file(golden_path(f"{name}.safetensors"))


def golden_json(name: str) -> dict[str, Any]:
    return json.loads(golden_path(f"{name}.json").read_text())


def golden_manifest(name: str) -> dict[str, Any]:
    """What is said of each file of the manifest `manifest_NAME.json`: its configuration, its tolerance."""
    return golden_json(f"manifest_{name}")["files"]
