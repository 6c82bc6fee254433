import json
from pathlib import Path

import pytest

from ditkit.errors import CheckpointError
from ditkit.files.folders import TRANSFORMERS, weight_files

STEM = "diffusion_pytorch_model"


def made(folder: Path, *names: str) -> list[str]:
    """What is read of a folder with these files; an index lists two parts."""
    for name in names:
        if name.endswith(".json"):
            parts = [f"{STEM}-0000{part}-of-00002.safetensors" for part in (1, 2)]
            for part in parts:
                (folder / part).touch()
            (folder / name).write_text(json.dumps({"weight_map": {"b": parts[1], "a": parts[0], "c": parts[1]}}))
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
