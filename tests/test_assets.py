"""What ships in the package is what its index says."""

import hashlib
import json
from pathlib import Path

import pytest

from ditkit.files.tensors import read_tensors
from ditkit.files.weights import ASSETS
from ditkit.models.registry import SPECS

INDEX = json.loads((ASSETS.parent / "index.json").read_text(encoding="utf-8"))
LARGEST = 20_000_000
CARD = {"sha256", "parameters", "data", "licence", "attribution", "command", "quality"}


def test_every_shipped_file_has_a_card_and_every_card_a_file() -> None:
    assert {path.name for path in ASSETS.glob("*.safetensors")} == set(INDEX)


@pytest.mark.parametrize("name", INDEX)
def test_a_card_tells_the_truth(name: str) -> None:
    path, card = Path(ASSETS / name), INDEX[name]
    assert card.keys() >= CARD
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    assert len(content) <= LARGEST
    assert sum(value.numel() for value in read_tensors(path).values()) == card["parameters"]


@pytest.mark.parametrize("spec", [spec for spec in SPECS.values() if spec.classes], ids=lambda spec: spec.name)
def test_class_names_on_file_are_as_many_as_the_classes(spec: object) -> None:
    from ditkit.models.spec import ModelSpec
    from ditkit.tasks.shared.classes import class_names

    assert isinstance(spec, ModelSpec)
    names = class_names(spec)
    assert len(names) in (0, spec.label_count) and len(set(names)) == len(names)
