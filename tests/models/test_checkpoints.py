import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ditkit.errors import CheckpointError, ConfigError, OutputError
from ditkit.files.sketch import sketch
from ditkit.files.tensors import read_metadata, read_tensors, write_tensors
from ditkit.models import checkpoints, registry
from ditkit.models.blank import blank
from ditkit.models.checkpoints import convert, fingerprint, load_backbone, load_into, read_checkpoint, read_class_names, save, with_compat
from ditkit.models.diffusers_layout import to_config, to_diffusers
from ditkit.models.dit import DiTParams
from ditkit.models.registry import find
from ditkit.models.spec import ModelSpec
from tests.models.tiny import DIT, FAMILIES, UVIT, inputs, tiny


def fresh(name: str) -> Any:
    make, params = FAMILIES[name]
    return make(params)


def assert_same(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def spec_of(params: DiTParams) -> ModelSpec:
    return replace(find("dit-emoji"), name="tiny", params=params)


def empty(name: str) -> dict[str, Tensor]:
    """The state of a registered model, without memory behind it."""
    return blank(find(name).params).state_dict()


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_saved_is_read_back_to_the_bit(tmp_path: Path, name: str) -> None:
    model = tiny(name)
    save(model.state_dict(), tmp_path / "w.safetensors", model=name, params=model.params)
    checkpoint = read_checkpoint(tmp_path / "w.safetensors")
    assert checkpoint.params == model.params  # heads too: the metadata holds what shapes do not tell
    other = fresh(name)
    load_into(other, checkpoint.state)
    assert_same(other.state_dict(), model.state_dict())


def test_a_published_file_and_a_training_state_are_read(tmp_path: Path) -> None:
    model = tiny("dit")
    zeros = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    torch.save(model.state_dict(), tmp_path / "bare.pt")
    args = argparse.Namespace(model="DiT-S/2", lr=1e-4)
    torch.save({"model": zeros, "ema": model.state_dict(), "opt": {"state": {}}, "args": args}, tmp_path / "train.pt")
    for name in ("bare.pt", "train.pt"):
        assert_same(read_checkpoint(tmp_path / name).state, model.state_dict())


def test_diffusers_folders_and_single_files_are_read(tmp_path: Path) -> None:
    model = tiny("dit")
    config = {**to_config(DIT), "_class_name": "Transformer2DModel"}  # the class name in the published folders
    folder = tmp_path / "pipeline" / "transformer"
    write_tensors(folder / "diffusion_pytorch_model.safetensors", to_diffusers(model.state_dict()))
    (folder / "config.json").write_text(json.dumps(config))
    for path in (tmp_path / "pipeline", folder, folder / "diffusion_pytorch_model.safetensors"):
        checkpoint = read_checkpoint(path)
        assert checkpoint.params == DIT
        assert_same(checkpoint.state, model.state_dict())


def test_a_single_diffusers_file_without_its_configuration_loads_too(tmp_path: Path) -> None:
    model, other = tiny("dit"), fresh("dit")
    write_tensors(tmp_path / "model.safetensors", to_diffusers(model.state_dict()))
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')  # somebody else's
    load_into(other, read_checkpoint(tmp_path / "model.safetensors").state)
    assert_same(other.state_dict(), model.state_dict())
    with pytest.raises(CheckpointError, match=r"does not say for which input size it is; put diffusers' config\.json beside it"):
        convert(tmp_path / "model.safetensors", tmp_path / "out.safetensors")


def test_the_class_names_that_a_model_was_trained_with_are_kept_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save({"w": torch.zeros(1)}, file, model="dit-emoji", params=DIT, class_names='["ant", "bird"]')
    assert read_class_names(file) == ("ant", "bird")
    save({"w": torch.zeros(1)}, file, model="dit-emoji", params=DIT)
    assert read_class_names(file) == ()


def test_the_class_names_of_a_pipeline_are_read_in_order(tmp_path: Path) -> None:
    assert read_class_names(tmp_path) == ()
    (tmp_path / "model_index.json").write_text(json.dumps({"id2label": {"3": "hen", "1": "great white shark", "0": "tench, Tinca tinca"}}))
    assert read_class_names(tmp_path) == ("tench, Tinca tinca", "great white shark", "2", "hen")  # the label without a name is a number


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a diffusers folder: it has no diffusion_pytorch_model\.safetensors"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_load_into_single_precision_networks(dtype: torch.dtype) -> None:
    model, other = tiny("dit"), fresh("dit")
    load_into(other, {name: value.to(dtype) for name, value in model.state_dict().items()})
    assert {value.dtype for value in other.state_dict().values()} == {torch.float32}
    assert torch.equal(other.pos_embed, model.pos_embed)  # the fixed table does not suffer from the rounding
    weight = model.blocks[0].attn.qkv.weight
    assert torch.equal(other.blocks[0].attn.qkv.weight, weight.to(dtype).float())


def test_a_position_table_of_ones_own_is_kept() -> None:
    state = tiny("dit").state_dict()
    state["pos_embed"] = torch.randn_like(state["pos_embed"])
    other = fresh("dit")
    load_into(other, state)
    assert torch.equal(other.pos_embed, state["pos_embed"])


def test_a_checkpoint_of_another_model_says_which() -> None:
    backbone = blank(find("dit-xl-2-256").params)
    with pytest.raises(CheckpointError) as caught:
        load_into(backbone, empty("dit-b-4-256"), "DiT-B-4.pt")
    message = str(caught.value)
    assert message.startswith("DiT-B-4.pt does not fit DiT-XL/2 at 256 px: 160 missing (blocks.12.adaLN_modulation.1.bias, ")
    assert re.search(r"; 132 misshapen \(blocks\.0\.adaLN_modulation\.1\.bias \(4608,\) instead of \(6912,\), ", message)
    assert message.endswith("; this is a DiT-B/4 checkpoint (input 32); use the model dit-b-4-256")
    assert "\n" not in message


def test_the_same_network_at_another_resolution_is_told_apart() -> None:
    backbone = blank(find("dit-xl-2-256").params)
    with pytest.raises(CheckpointError, match=r"1 misshapen \(pos_embed .*use the model dit-xl-2-512$"):
        load_into(backbone, empty("dit-xl-2-512"))


def test_weights_of_the_other_family_and_of_an_autoencoder_are_recognised() -> None:
    with pytest.raises(CheckpointError, match=r"this is a U-ViT-H/2 checkpoint \(input 32\); use the model uvit-h-2-256$"):
        load_into(fresh("dit"), empty("uvit-h-2-256"))
    with pytest.raises(CheckpointError, match=r"this is an autoencoder: give it as codec\.path=PATH$"):
        load_into(fresh("dit"), {"decoder.conv_in.weight": torch.ones(1)})


def test_a_file_that_lacks_a_tensor_names_it() -> None:
    state = tiny("dit").state_dict()
    del state["blocks.1.mlp.fc1.bias"]
    with pytest.raises(CheckpointError, match=r"^w\.pt does not fit DiT of .*: 1 missing \(blocks\.1\.mlp\.fc1\.bias\)"):
        load_into(fresh("dit"), state, "w.pt")


def test_the_fingerprint_is_of_the_weights_and_not_of_the_file(tmp_path: Path) -> None:
    model = tiny("dit")
    state = model.state_dict()
    name = fingerprint(state)
    save(state, tmp_path / "half.safetensors", model="tiny", params=DIT, dtype=torch.float16)
    write_tensors(tmp_path / "theirs" / "diffusion_pytorch_model.safetensors", to_diffusers(state))
    assert fingerprint(read_checkpoint(tmp_path / "half.safetensors").state) == name
    assert fingerprint(read_checkpoint(tmp_path / "theirs").state) == name
    assert fingerprint(dict(reversed(state.items()))) == name
    assert fingerprint(tiny("dit", seed=1).state_dict()) != name


def test_the_learned_positions_of_a_uvit_count_in_its_fingerprint() -> None:
    state = tiny("uvit").state_dict()
    assert fingerprint({**state, "pos_embed": state["pos_embed"] + 1}) != fingerprint(state)


@pytest.mark.parametrize(("name", "layout"), [("dit", "ditkit"), ("dit", "diffusers"), ("uvit", "ditkit")])
def test_converting_keeps_every_bit(tmp_path: Path, name: str, layout: str) -> None:
    model = tiny(name)
    save(model.state_dict(), tmp_path / "w.safetensors", model=name, params=model.params)
    out = tmp_path / ("out" if layout == "diffusers" else "out.safetensors")
    assert convert(tmp_path / "w.safetensors", out, layout) == model.params
    assert_same(read_checkpoint(out).state, model.state_dict())


def test_converting_a_published_pickle_writes_the_registered_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SPECS, "tiny-model", replace(spec_of(DIT), name="tiny-model"))
    torch.save(tiny("dit").state_dict(), tmp_path / "w.pt")
    convert(tmp_path / "w.pt", tmp_path / "w.safetensors")
    assert read_metadata(tmp_path / "w.safetensors")["model"] == "tiny-model"


def test_what_cannot_be_converted_is_refused_and_nothing_written(tmp_path: Path) -> None:
    save(tiny("uvit").state_dict(), tmp_path / "uvit.safetensors", model="tiny", params=UVIT)
    with pytest.raises(CheckpointError, match="and diffusers has no U-ViT; use layout ditkit"):
        convert(tmp_path / "uvit.safetensors", tmp_path / "out", "diffusers")
    torch.save({"w": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="is no checkpoint that ditkit knows; known are DiT, SiT, U-ViT, DiT-3D and PixArt"):
        convert(tmp_path / "w.pt", tmp_path / "out")
    with pytest.raises(ConfigError, match="layout is ditkit or diffusers, not onnx"):
        convert(tmp_path / "w.pt", tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


def test_a_diffusers_folder_that_could_not_be_written_is_not_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tiny("dit").state_dict(), tmp_path / "dit.safetensors", model="tiny", params=DIT)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "write_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "dit.safetensors", tmp_path / "out", "diffusers")
    assert not (tmp_path / "out").exists()


def test_metadata_of_another_version_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {"family": "dit", "params": '{"width": 3, "colour": "red"}'})
    with pytest.raises(CheckpointError, match="was written by another version of ditkit"):
        read_checkpoint(tmp_path / "w.safetensors")


@torch.no_grad()
def test_a_backbone_is_built_with_its_weights(tmp_path: Path) -> None:
    model = tiny("dit")
    save(model.state_dict(), tmp_path / "w.safetensors", model="tiny", params=DIT)
    loaded = load_backbone(spec_of(DIT), str(tmp_path / "w.safetensors"))
    backbone, origin = loaded.backbone, loaded.origin
    x, t, y = inputs(model)
    assert torch.equal(backbone(x, backbone.condition(t, y)), model(x, model.condition(t, y)))
    names = {"fingerprint": fingerprint(model.state_dict()), "sketch": sketch(model.state_dict())}
    assert origin == {"weights": f"file:{tmp_path / 'w.safetensors'}", "commit": None, **names}
    assert all(isinstance(parameter, nn.Parameter) and parameter.requires_grad for parameter in backbone.parameters())


def test_weights_trained_with_other_heads_run_with_them_though_every_shape_fits(tmp_path: Path) -> None:
    save(tiny("dit").state_dict(), tmp_path / "w.safetensors", model="tiny", params=replace(DIT, heads=4))
    loaded = load_backbone(spec_of(DIT), str(tmp_path / "w.safetensors"))
    assert loaded.spec.params == loaded.backbone.params == replace(DIT, heads=4)


def test_random_weights_are_those_of_a_fresh_model_and_always_the_same() -> None:
    loaded = load_backbone(spec_of(DIT), "random")
    torch.manual_seed(0)
    assert_same(loaded.backbone.state_dict(), fresh("dit").state_dict())
    assert loaded.origin == {"weights": "random", "sketch": sketch(loaded.backbone.state_dict())}


def test_published_weights_come_from_the_hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ditkit.files import weights
    from ditkit.files.hub import Snapshot

    model = tiny("dit")
    write_tensors(tmp_path / "transformer" / "diffusion_pytorch_model.safetensors", to_diffusers(model.state_dict()))
    monkeypatch.setattr(weights, "fetch", lambda repository, revision, option: Snapshot(tmp_path, f"{revision}-commit"))
    spec = replace(spec_of(DIT), weights=find("dit-xl-2-256").weights)
    (tmp_path / "model_index.json").write_text('{"id2label": {"0": "tench, Tinca tinca", "1": "goldfish"}}')
    loaded = load_backbone(spec, revision="v1")
    assert_same(loaded.backbone.state_dict(), model.state_dict())
    assert loaded.class_names == ("tench, Tinca tinca", "goldfish")
    assert (loaded.origin["weights"], loaded.origin["commit"]) == ("hub:facebook/DiT-XL-2-256", "v1-commit")


def test_the_equations_of_diffusers_are_opted_into() -> None:
    spec = find("dit-xl-2-256")
    assert with_compat(spec, "official") == spec
    changed = with_compat(spec, "diffusers").params
    assert isinstance(changed, DiTParams)
    assert changed.compat == "diffusers"
    with pytest.raises(ConfigError, match="compat is official or diffusers, not hf"):
        with_compat(spec, "hf")
    with pytest.raises(ConfigError, match="compat=diffusers is for DiT only; uvit-h-2-256 is not in diffusers"):
        with_compat(find("uvit-h-2-256"), "diffusers")


def test_weights_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save(tiny("dit").state_dict(), path, model="tiny", params=DIT)
    before = path.read_bytes()
    monkeypatch.setattr("ditkit.files.tensors.save_file", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left on device"):
        save(tiny("dit", seed=1).state_dict(), path, model="tiny", params=DIT)
    assert path.read_bytes() == before
    assert len(read_tensors(path)) == len(tiny("dit").state_dict())
