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


def rounded(rule: float) -> float:
    """A manifest's rule for float32, max |a - b| <= rule * max |reference|, as roundings of `closeness`."""
    return rule / 2**-23


def assert_within(value: Tensor, reference: Tensor, rtol: float) -> None:
    """|a - b| <= rtol * (|reference| + 1e-3 * max |reference|) everywhere: the rule of the flows' path functions."""
    assert value.shape == reference.shape
    allowed = rtol * (reference.abs() + 1e-3 * reference.abs().max())
    assert bool(((value - reference).abs() <= allowed).all()), f"off by {float(((value - reference).abs() / allowed).max()):.3g} tolerances"


def golden_manifest(name: str) -> dict[str, Any]:
    """What is said of each file of the manifest `manifest_NAME.json`: its configuration, its tolerance."""
    return golden_json(f"manifest_{name}")["files"]
