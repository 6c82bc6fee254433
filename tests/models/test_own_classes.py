"""Weights for other classes than their model was published with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

from ditkit.models.checkpoints import load_backbone, save
from ditkit.models.diffusers_layout import to_config, to_diffusers
from ditkit.models.own_classes import with_classes
from ditkit.models.registry import FAMILIES as NETWORKS
from ditkit.models.registry import build, find
from ditkit.models.spec import ModelSpec
from tests.models.tiny import DIT, DIT3D, UVIT, drawn, inputs

PUBLISHED = {"dit": ("dit-s-2-256", DIT), "uvit": ("uvit-emoji", UVIT), "dit3d": ("dit3d-s-4-32", DIT3D)}


def spec_of(family: str) -> ModelSpec:
    """A model of five classes with a list of names for them."""
    name, params = PUBLISHED[family]
    return replace(find(name), params=params, classes="shapes")


def said(model: Any) -> torch.Tensor:
    x, t, _ = inputs(model)
    return model(x, model.condition(t, torch.tensor([6, 0, 6])))


@pytest.mark.parametrize("family", PUBLISHED)
@pytest.mark.parametrize("bare", [True, False])
def test_the_number_of_classes_is_read_from_the_file(tmp_path: Path, family: str, bare: bool) -> None:
    spec = spec_of(family)
    seven = with_classes(spec, 7)
    theirs = drawn(NETWORKS[family](seven.params))
    file = tmp_path / ("w.pt" if bare else "w.safetensors")
    if bare:  # nothing but shapes tell
        torch.save({"ema": theirs.state_dict()}, file)
    else:
        save(theirs.state_dict(), file, model="mine", params=seven.params)
    loaded = load_backbone(spec, str(file))
    assert (loaded.spec.params, loaded.spec.classes, loaded.spec.label_count) == (seven.params, None, 7)
    assert torch.equal(said(loaded.backbone), said(theirs))


def test_a_model_with_its_own_number_keeps_its_list_of_names(tmp_path: Path) -> None:
    spec = spec_of("dit")
    torch.save(build(spec).state_dict(), tmp_path / "w.pt")
    assert load_backbone(spec, str(tmp_path / "w.pt")).spec == spec


@pytest.mark.parametrize(
    ("model", "rows", "classes", "null"),
    [
        (replace(UVIT, classes=5, null_class=True), 8, 7, True),
        (replace(UVIT, classes=5, null_class=False), 8, 8, False),  # its last row was always a class
        (replace(UVIT, classes=0, null_class=False), 8, 7, True),  # published without any
        (replace(UVIT, classes=5, null_class=True), 0, 0, False),
    ],
)
def test_whether_a_uvits_last_row_is_a_class_is_as_in_the_model(tmp_path: Path, model: Any, rows: int, classes: int, null: bool) -> None:
    theirs = drawn(NETWORKS["uvit"](replace(UVIT, classes=rows, null_class=False)))
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    params: Any = load_backbone(replace(spec_of("uvit"), params=model), str(tmp_path / "w.pth")).spec.params
    assert (params.classes, params.null_class) == (classes, null)


def test_a_diffusers_folder_tells_its_number_of_classes(tmp_path: Path) -> None:
    seven = replace(DIT, classes=7)
    ours = drawn(NETWORKS["dit"](seven))
    config = {name: value for name, value in to_config(seven).items() if not name.startswith("_")}
    theirs = DiTTransformer2DModel(**config)
    theirs.load_state_dict(to_diffusers(ours.state_dict()))
    theirs.save_pretrained(tmp_path / "transformer")
    (tmp_path / "model_index.json").write_text(json.dumps({"id2label": {str(label): f"class {label}" for label in range(7)}}))
    loaded = load_backbone(spec_of("dit"), str(tmp_path))
    assert (loaded.spec.label_count, loaded.class_names[6]) == (7, "class 6")
    assert torch.equal(said(loaded.backbone), said(ours))
