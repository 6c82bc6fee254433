"""Training on point clouds, from the command's configuration to weights that know their categories and their coordinates."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ditkit.config.schema import DataConfig, ModelConfig, TrainConfig
from ditkit.errors import ConfigError, DataError
from ditkit.files.tensors import read_metadata, read_tensors
from ditkit.models import registry
from ditkit.models.checkpoints import save
from ditkit.models.dit import DiT, DiTParams
from ditkit.results.progress import NoProgress
from ditkit.tasks import train
from ditkit.tasks.shared import build
from tests.closeness import near, spread


def _config(data: Path, out: Path, *, categories: tuple[str, ...] = (), **changes: object) -> TrainConfig:
    source = DataConfig(path=str(data), categories=list(categories), stretch=0.1)
    values = {"model": "tiny-dit3d", "steps": 3, "batch": 4, "data": source, "out": str(out), **changes}
    return TrainConfig(**values)  # pyright: ignore[reportArgumentType]


def test_weights_know_their_categories_and_where_their_clouds_were(tiny3d: str, folder_of_clouds: Path, tmp_path: Path) -> None:
    (weights,) = train.run(_config(folder_of_clouds, tmp_path / "train"), NoProgress()).files
    words = read_metadata(weights)
    assert json.loads(words["class_names"]) == ["chair", "table"]
    model = build.model(ModelConfig(model=tiny3d, weights=str(weights)))
    assert model.class_names == ("chair", "table")
    cloud = model.codec.decode(torch.randn(1, 3, 4000, generator=torch.Generator().manual_seed(0)))
    assert cloud[0].mean(1).tolist() == near([3.0] * 3, within=0.1 * (spread(6 * 50) + spread(4000)))
    assert float(cloud.std()) == near(0.1, within=0.1 * (spread(2 * 3 * 6 * 50) + spread(2 * 3 * 4000)))
    assert model.codec.origin["scale"] == json.loads(words["cloud_scale"])


def test_a_run_that_was_interrupted_ends_with_the_same_bits(tiny3d: str, folder_of_clouds: Path, tmp_path: Path) -> None:
    (whole,) = train.run(_config(folder_of_clouds, tmp_path / "whole", steps=4), NoProgress()).files
    train.run(_config(folder_of_clouds, tmp_path / "parts", steps=2), NoProgress())
    (parts,) = train.run(_config(folder_of_clouds, tmp_path / "parts", steps=4), NoProgress()).files
    once, resumed = read_tensors(whole), read_tensors(parts)
    assert all(torch.equal(value, resumed[name]) for name, value in once.items())


@pytest.mark.parametrize("transfer", ["full", "diffit"])
def test_training_starts_from_the_blocks_of_a_dit(tiny3d: str, folder_of_clouds: Path, tmp_path: Path, transfer: str) -> None:
    params = DiTParams(width=36, depth=2, heads=2, patch=2, input_size=8, classes=5)
    flat = DiT(params)
    save(flat.state_dict(), tmp_path / "flat.safetensors", model="flat", params=params)
    config = _config(folder_of_clouds, tmp_path / "train", init=str(tmp_path / "flat.safetensors"), transfer=transfer, learning_rate=1e-2)
    (weights,) = train.run(config, NoProgress()).files
    state = read_tensors(weights)
    assert state.keys() == registry.build(registry.find(tiny3d)).state_dict().keys()
    kept = torch.equal(state["blocks.0.attn.qkv.weight"], flat.state_dict()["blocks.0.attn.qkv.weight"].half())
    assert kept == (transfer == "diffit")


def test_a_light_training_needs_something_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"transfer=diffit trains a small part of a model; say which model with init=WEIGHTS"):
        _config(tmp_path, tmp_path, transfer="diffit")


def test_categories_are_chosen_by_name(tiny3d: str, folder_of_clouds: Path, tmp_path: Path) -> None:
    (weights,) = train.run(_config(folder_of_clouds, tmp_path / "train", categories=("table",), steps=1), NoProgress()).files
    assert json.loads(read_metadata(weights)["class_names"]) == ["table"]
    with pytest.raises(
        DataError, match=r"no category named 'sofa' in .*; it has chair, table: choose with data.categories=\[chair,table\]$"
    ):
        train.run(_config(folder_of_clouds, tmp_path / "other", categories=("sofa",)), NoProgress())


def test_categories_that_a_model_with_names_has_not_ask_for_a_network_of_their_own(folder_of_clouds: Path, tmp_path: Path) -> None:
    for name in ("chair", "table"):
        (folder_of_clouds / f"{name}.npz").rename(folder_of_clouds / f"my {name}.npz")
    asked: dict[str, Any] = {"model": "dit3d-shapes", "data": DataConfig(path=str(folder_of_clouds)), "out": str(tmp_path / "train")}
    line = r"^dit3d-shapes knows chair, .*, and .* has my chair, my table; say classes=2 for a network of these$"
    with pytest.raises(DataError, match=line):
        train.run(TrainConfig(**asked, batch=2), NoProgress())
    assert not (tmp_path / "train").exists()


def test_more_categories_than_the_model_has_are_refused(tiny3d: str, folder_of_clouds: Path, tmp_path: Path) -> None:
    for name in ("bed", "lamp"):
        (folder_of_clouds / f"{name}.npz").write_bytes((folder_of_clouds / "chair.npz").read_bytes())
    with pytest.raises(DataError, match=r"has 4 classes, tiny-dit3d has 3; choose with data.categories=\[...\]$"):
        train.run(_config(folder_of_clouds, tmp_path / "train"), NoProgress())
    assert not (tmp_path / "train").exists()


def test_pictures_are_no_clouds(tiny3d: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no clouds for training: expected .*<category>.npz"):
        train.run(_config(folder_of_pictures, tmp_path / "train"), NoProgress())
