import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ditkit.errors import CheckpointError
from ditkit.files.folders import TRANSFORMERS, weight_files
from ditkit.models.reading import read_checkpoint

STEM = "diffusion_pytorch_model"


def made(folder: Path, *names: str) -> list[str]:
    """What is read of a folder with these files; an index lists two parts."""
    for name in names:
        if name.endswith(".json"):
            save_file({"a": torch.zeros(1)}, folder / PARTS[0])
            save_file({"b": torch.zeros(1), "c": torch.zeros(1)}, folder / PARTS[1])
            (folder / name).write_text(json.dumps({"weight_map": {"b": PARTS[1], "a": PARTS[0], "c": PARTS[1]}}))
        (folder / name).touch()
    return [path.name for path in weight_files(folder)]


PARTS = [f"{STEM}-00001-of-00002.safetensors", f"{STEM}-00002-of-00002.safetensors"]


@pytest.mark.parametrize(
    ("names", "read"),
    [
        ([f"{STEM}.safetensors"], [f"{STEM}.safetensors"]),
        ([f"{STEM}.bin", f"{STEM}.safetensors"], [f"{STEM}.safetensors"]),
        ([f"{STEM}.fp16.safetensors", f"{STEM}.bin"], [f"{STEM}.bin"]),
        ([f"{STEM}.fp16.safetensors"], [f"{STEM}.fp16.safetensors"]),
        ([f"{STEM}.fp16.bin", f"{STEM}.bf16.safetensors"], [f"{STEM}.bf16.safetensors"]),
        ([f"{STEM}.non_ema.bin", f"{STEM}.fp16.bin"], [f"{STEM}.fp16.bin"]),
        ([f"{STEM}.safetensors.index.json"], PARTS),
        ([f"{STEM}.bin.index.json"], PARTS),
        ([f"{STEM}.safetensors.index.fp16.json"], PARTS),
        (["model.safetensors"], ["model.safetensors"]),
        (["README.md", "optimizer.bin"], []),
    ],
)
def test_the_plain_weights_come_first_and_a_variant_otherwise(tmp_path: Path, names: list[str], read: list[str]) -> None:
    assert made(tmp_path, *names) == read


def test_transformers_names_are_other_ones(tmp_path: Path) -> None:
    made(tmp_path, f"{STEM}.safetensors", "pytorch_model.fp16.bin")
    assert [path.name for path in weight_files(tmp_path, TRANSFORMERS)] == ["pytorch_model.fp16.bin"]


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    made(tmp_path, f"{STEM}.safetensors.index.json")
    (tmp_path / PARTS[1]).unlink()
    with pytest.raises(CheckpointError) as caught:
        weight_files(tmp_path)
    assert str(caught.value) == f"{tmp_path}/{STEM}.safetensors.index.json lists 2 files, and {PARTS[1]} is not there; download it too"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "holds no JSON object"),
        ('{"weight_map": []}', "is no index of weights: AttributeError: "),
        ('{"weight_map": {}}', "is no index of weights: it lists no files"),
        ('{"weight_map": {"a": "../other/w.bin"}}', "is no index of weights: ../other/w.bin is no name of a file"),
        ('{"weight_map": {"a": 3}}', "is no index of weights: 3 is no name of a file"),
    ],
)
def test_an_index_that_lists_no_files_beside_it_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / f"{STEM}.bin.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"\.bin\.index\.json {reason}"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({"a": PARTS[1], "b": PARTS[1]}, f"lists a in {PARTS[1]}, which has it not; download both again"),
        ({"a": PARTS[0], "nonsense": PARTS[1]}, f"lists nonsense in {PARTS[1]}, which has it not; download both again"),
        ({"a": PARTS[0], "c": PARTS[1]}, f"lists c in {PARTS[1]}, and {PARTS[0]} has it too; download both again"),
    ],
)
def test_an_index_of_other_parts_is_refused(tmp_path: Path, places: dict[str, str], reason: str) -> None:
    made(tmp_path, f"{STEM}.safetensors.index.json")
    if "c" in places:
        save_file({"a": torch.zeros(1), "c": torch.zeros(1)}, tmp_path / PARTS[0])
    (tmp_path / f"{STEM}.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(CheckpointError) as caught:
        weight_files(tmp_path)
    assert str(caught.value) == f"{tmp_path}/{STEM}.safetensors.index.json {reason}"


def test_parts_without_their_index_are_read_if_all_are_there_and_one_alone_is_called_what_it_is(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).touch()
    assert [path.name for path in weight_files(tmp_path)] == PARTS
    with pytest.raises(CheckpointError, match=r"00001-of-00002\.safetensors is part 1 of 2; give the folder that all are in$"):
        read_checkpoint(tmp_path / PARTS[0])
    (tmp_path / PARTS[0]).unlink()
    with pytest.raises(CheckpointError, match=f"^{tmp_path} has parts of 2 files, and {PARTS[0]} is not there; download it too$"):
        weight_files(tmp_path)
