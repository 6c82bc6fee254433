import json
from pathlib import Path
from typing import Any

import pytest

from ditkit.errors import CheckpointError
from ditkit.files.tensors import read_tensors, write_tensors
from ditkit.models.checkpoints import save
from ditkit.models.reading import read_checkpoint
from tests.models.tiny import FAMILIES, tiny
from tests.saved_pipelines import dit, pixart

LIES = [
    ("dit", {"num_attention_heads": 2}, "width 16, and the weights have width 32"),
    ("dit", {"num_layers": 3}, "depth 3, and the weights have depth 2"),
    ("dit", {"num_layers": 10**9}, "depth 1000000000, and the weights have depth 2"),
    ("dit", {"patch_size": 4}, "patch 4, and the weights have patch 2"),
    ("dit", {"num_embeds_ada_norm": 1000}, "classes 1000, and the weights have classes 7"),
    ("dit", {"out_channels": None}, "learn sigma False, and the weights have learn sigma True"),
    ("pixart", {"caption_channels": 4096}, "caption width 4096, and the weights have caption width"),
    ("pixart", {"use_additional_conditions": True}, "micro conditions True, and the weights have micro conditions False"),
]


@pytest.mark.parametrize(("network", "words", "line"), LIES, ids=[f"{kind} {next(iter(words))}" for kind, words, _ in LIES])
def test_a_configuration_that_is_not_that_of_the_weights_is_refused_by_name(
    tmp_path: Path, network: str, words: dict[str, Any], line: str
) -> None:
    (dit if network == "dit" else pixart)().save_pretrained(tmp_path)
    said(tmp_path, words)
    with pytest.raises(CheckpointError, match=rf"^{tmp_path} contradicts itself: its config\.json says {line}"):
        read_checkpoint(tmp_path)


def said(folder: Path, words: dict[str, Any]) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **words}))


def test_a_picture_of_absurd_size_is_refused_before_its_positions_are_computed(tmp_path: Path) -> None:
    dit().save_pretrained(tmp_path)
    said(tmp_path, {"sample_size": 10**7})
    with pytest.raises(CheckpointError, match=r"sample_size is 10000000, 5000000 patches along each side; 1024 are the most$"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["SD3Transformer2DModel", None, 3])
def test_a_folder_of_another_class_is_refused_though_its_weights_look_like_a_dit(tmp_path: Path, name: Any) -> None:
    dit().save_pretrained(tmp_path)
    said(tmp_path, {"_class_name": name})
    line = f"says _class_name = {json.dumps(name)}, and the weights beside it are those of a DiTTransformer2DModel"
    with pytest.raises(CheckpointError, match=rf"config\.json {line}$"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_configuration_is_read_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    dit().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(file.read_text(), encoding=encoding)
    params = read_checkpoint(tmp_path).params
    assert params is not None and params.heads == 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"depth": 10**9}, "depth 1000000000, and the weights have depth 2"),
        ({"width": "wide"}, "width 'wide', and the weights have width 32"),
        ({"input_size": 10**9}, "input size 1000000000, and the weights have input size 8"),
        ({"heads": 0}, "0 heads, which do not divide its width 32"),
        ({"heads": 3}, "3 heads, which do not divide its width 32"),
        ({"heads": "four"}, "'four' heads, which do not divide its width 32"),
    ],
)
def test_numbers_that_ditkit_did_not_write_are_refused_before_a_network_is_built(tmp_path: Path, words: dict[str, Any], line: str) -> None:
    file = tmp_path / "w.safetensors"
    save(tiny("dit").state_dict(), file, model="mine", params=FAMILIES["dit"][1])
    params = {"width": 32, "depth": 2, "heads": 2, "patch": 2, "input_size": 8, "classes": 5, **words}
    write_tensors(file, read_tensors(file), {"family": "dit", "params": json.dumps(params)})
    with pytest.raises(CheckpointError, match=rf"w\.safetensors contradicts itself: what ditkit wrote beside its weights says {line}$"):
        read_checkpoint(file)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_ditkit_writes_agrees_with_itself(tmp_path: Path, family: str) -> None:
    model = tiny(family)
    save(model.state_dict(), tmp_path / "w.safetensors", model="mine", params=model.params)
    assert read_checkpoint(tmp_path / "w.safetensors").params == model.params
