"""A SiT under a DiT's name, and the reverse: refused where anything tells, said where nothing does."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ditkit.errors import CheckpointError
from ditkit.models import registry
from ditkit.models.checkpoints import convert, load_backbone, save
from ditkit.models.sit import SiTParams
from ditkit.models.spec import Defaults, ModelSpec
from tests.models.tiny import DIT, SIT, drawn, tiny

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, family, params in (
        ("dit-tiny", "dit", DIT),
        ("sit-tiny", "sit", SIT),
        ("sit-tiny-repa", "sit", replace(SIT, learn_sigma=False, clock="noise")),
    ):
        drops = ("projectors.",) if name.endswith("repa") else ()
        spec = ModelSpec(name, family, params, "linear-flow", "pixels", 8, 4, Defaults("euler", 4, 1.5), drops=drops)
        monkeypatch.setitem(registry.SPECS, name, spec)


def load(name: str, path: Path) -> Any:
    return load_backbone(registry.find(name), str(path))


def sit_state(**changes: Any) -> State:
    return drawn(registry.FAMILIES["sit"](replace(SIT, **changes))).state_dict()


def untrained_variance(state: State) -> State:
    rows = state["final_layer.linear.weight"].unflatten(0, (4, 2, 4)).clone()
    rows[:, 1] = 0
    return {**state, "final_layer.linear.weight": rows.flatten(0, 2)}


@pytest.mark.parametrize(
    ("content", "file", "reason"),
    [
        (lambda: {"ema": sit_state(), "args": argparse.Namespace(model="SiT-XL/2")}, "w.pt", "it was trained with model=SiT-XL/2"),
        (lambda: {"ema": sit_state(), "args": argparse.Namespace(path_type="Linear")}, "w.pt", "it was trained with path_type=Linear"),
        (lambda: {**sit_state(learn_sigma=False), "projectors.0.0.weight": torch.ones(2, 2)}, "w.pt", "only SiT's training with REPA adds"),
        (lambda: sit_state(), "SiT-XL-2-256x256.pt", "its name says so"),
        (lambda: sit_state(learn_sigma=False), "w.pt", "its final layer has no variance"),
        (lambda: untrained_variance(sit_state()), "w.pt", "the variance of its final layer was never trained"),
    ],
)
def test_a_sit_under_a_dits_name_is_refused(content: Any, file: str, reason: str, tmp_path: Path) -> None:
    torch.save(content(), tmp_path / file)
    with pytest.raises(CheckpointError, match=f"is a SiT .*{reason}.*, dit-tiny is a DiT: .* use the model sit-tiny"):
        load("dit-tiny", tmp_path / file)


@pytest.mark.parametrize(
    ("content", "file"),
    [
        (lambda: {"ema": tiny("dit").state_dict(), "args": argparse.Namespace(model="DiT-B/4")}, "w.pt"),
        (lambda: tiny("dit").state_dict(), "DiT-XL-2-256x256.pt"),
    ],
)
def test_a_dit_under_a_sits_name_is_refused(content: Any, file: str, tmp_path: Path) -> None:
    torch.save(content(), tmp_path / file)
    with pytest.raises(CheckpointError, match="is a DiT .*, sit-tiny is a SiT: they differ in what they predict; use the model dit-tiny"):
        load("sit-tiny", tmp_path / file)


def test_ditkits_own_files_say_what_they_are(tmp_path: Path) -> None:
    save(sit_state(), tmp_path / "sit.safetensors", model="sit-tiny", params=SIT)
    with pytest.raises(CheckpointError, match=r"is a SiT \(it says so itself\), dit-tiny is a DiT"):
        load("dit-tiny", tmp_path / "sit.safetensors")
    assert load("sit-tiny", tmp_path / "sit.safetensors").notes == ()


@pytest.mark.parametrize(("name", "other"), [("dit-tiny", "SiT"), ("sit-tiny", "DiT")])
def test_where_nothing_tells_the_user_does_and_is_told_so(name: str, other: str, tmp_path: Path) -> None:
    torch.save(sit_state(), tmp_path / "w.pt")
    (note,) = load(name, tmp_path / "w.pt").notes
    assert f"from a {other}: it is run as a" in note and note.endswith(f"as {name} is")


def test_the_file_decides_whether_there_is_a_half_that_is_dropped(tmp_path: Path) -> None:
    for half in (True, False):
        state = sit_state(learn_sigma=half)
        torch.save(state, tmp_path / f"SiT-S-2-{half}.pt")
        loaded = load("sit-tiny", tmp_path / f"SiT-S-2-{half}.pt")
        assert loaded.backbone.params.learn_sigma is half
        assert torch.equal(loaded.backbone.final_layer.linear.weight, state["final_layer.linear.weight"])


def test_repas_projectors_are_dropped_and_later_blocks_are_blocks(tmp_path: Path) -> None:
    state = sit_state(learn_sigma=False)
    split = {name.replace("blocks.1.", "decoder_blocks.0."): value for name, value in state.items()}
    projectors = {f"projectors.0.{layer}.{kind}": torch.ones(2, 2) for layer in (0, 2, 4) for kind in ("weight", "bias")}
    torch.save({"model": state, "ema": {**split, **projectors}, "opt": {}, "steps": 4}, tmp_path / "last.pt")
    loaded = load("sit-tiny-repa", tmp_path / "last.pt")
    assert all(torch.equal(value, state[name]) for name, value in loaded.backbone.state_dict().items())
    torch.save(state, tmp_path / "bare.pt")
    assert load("sit-tiny-repa", tmp_path / "bare.pt").origin["fingerprint"] == loaded.origin["fingerprint"]


def test_repas_weights_under_a_plain_sits_name_and_the_reverse_are_refused(tmp_path: Path) -> None:
    torch.save({**sit_state(learn_sigma=False), "projectors.0.0.weight": torch.ones(2, 2)}, tmp_path / "repa.pt")
    with pytest.raises(CheckpointError, match="was trained with REPA, .*; use the model sit-tiny-repa"):
        load("sit-tiny", tmp_path / "repa.pt")
    torch.save(sit_state(), tmp_path / "sit.pt")
    with pytest.raises(CheckpointError, match="has a final layer for a variance too, which REPA's have not; use the model sit-tiny"):
        load("sit-tiny-repa", tmp_path / "sit.pt")


def test_a_sit_is_converted_by_its_name(tmp_path: Path) -> None:
    torch.save(sit_state(learn_sigma=False), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="is a SiT .*; say which with --model"):
        convert(tmp_path / "w.pt", tmp_path / "out.safetensors")
    params = convert(tmp_path / "w.pt", tmp_path / "out.safetensors", model="sit-tiny-repa")
    assert isinstance(params, SiTParams) and params.clock == "noise"
    assert load("sit-tiny-repa", tmp_path / "out.safetensors").backbone.params == params
    with pytest.raises(CheckpointError, match="was trained with time running towards noise, sit-tiny's runs towards data"):
        load("sit-tiny", tmp_path / "out.safetensors")
    with pytest.raises(CheckpointError, match="diffusers has no SiT; use layout ditkit"):
        convert(tmp_path / "out.safetensors", tmp_path / "theirs", "diffusers")
