"""A file's own numbers take the place of the registry's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ditkit.errors import CheckpointError
from ditkit.models.checkpoints import convert, load_backbone
from ditkit.models.identify import identify
from ditkit.models.loading import load_into
from ditkit.models.reading import read_checkpoint
from ditkit.models.registry import FAMILIES as NETWORKS
from ditkit.models.registry import find
from tests.models.tiny import FAMILIES, drawn

OF_EACH = {"dit": "dit-emoji", "uvit": "uvit-emoji", "dit3d": "dit3d-shapes", "pixart": "pixart-emoji"}


def network(family: str, **changes: Any) -> Any:
    return drawn(NETWORKS[family](replace(FAMILIES[family][1], **changes)))


@pytest.mark.parametrize("ratio", [2.0, 3.0, 2.5])
@pytest.mark.parametrize("family", OF_EACH)
def test_the_width_of_the_mlps_is_read_from_the_file(family: str, ratio: float, tmp_path: Path) -> None:
    model = network(family, mlp_ratio=ratio, heads=1)
    torch.save({"ema": model.state_dict()}, tmp_path / "w.pt")
    found = identify(model.state_dict())
    assert found is not None and found.mlp_ratio == ratio
    loaded = load_backbone(find(OF_EACH[family]), str(tmp_path / "w.pt"))
    assert loaded.backbone.params.mlp_ratio == loaded.spec.params.mlp_ratio == ratio
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.backbone.state_dict().items())
    convert(tmp_path / "w.pt", tmp_path / "w.safetensors")
    again = read_checkpoint(tmp_path / "w.safetensors").params
    assert again is not None and again.mlp_ratio == ratio


@pytest.mark.parametrize("family", ["dit", "pixart"])
def test_diffusers_has_no_mlps_of_another_width(family: str, tmp_path: Path) -> None:
    torch.save(network(family, mlp_ratio=2.0).state_dict(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt is a .*, MLP 2 times as wide.*, and diffusers knows MLPs 4 times as wide only$"):
        convert(tmp_path / "w.pt", tmp_path / "out", "diffusers")
    assert not (tmp_path / "out").exists()


def test_numbers_in_which_two_networks_of_one_name_differ_are_said() -> None:
    with pytest.raises(CheckpointError, match=r"; the file has classes 9 instead of 5$"):
        load_into(network("dit"), network("dit", classes=9, heads=2).state_dict())


def test_of_another_size_a_network_runs_under_the_named_models_defaults_and_that_is_said(tmp_path: Path) -> None:
    torch.save(network("dit").state_dict(), tmp_path / "w.pt")
    loaded = load_backbone(find("dit-emoji"), str(tmp_path / "w.pt"))
    assert (loaded.spec.params.width, loaded.spec.image_size, loaded.spec.schedule) == (32, 32, "linear")
    line = "these weights are a DiT of width 32, depth 2, patch 2; it runs with the noise schedule and the defaults of dit-emoji"
    assert line in loaded.notes


def test_a_registered_model_of_just_these_numbers_is_named(tmp_path: Path) -> None:
    torch.save(NETWORKS["dit"](find("dit-s-8-256").params).state_dict(), tmp_path / "w.pt")
    with pytest.raises(
        CheckpointError, match=r"w\.pt does not fit DiT-S/8 at 512 px: it has input size 32 instead of 64; use the model dit-s-8-256$"
    ):
        load_backbone(find("dit-s-8-512"), str(tmp_path / "w.pt"))


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    torch.save({name: (8 * value).to(torch.int8) for name, value in network("dit").state_dict().items()}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt holds whole numbers, pos_embed is int8, perhaps of a quantised network; save it"):
        load_backbone(find("dit-emoji"), str(tmp_path / "w.pt"))
