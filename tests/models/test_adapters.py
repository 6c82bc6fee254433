"""LoRAs: merged as PEFT and diffusers apply them, from their own files, or refused by name."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ditkit.errors import CheckpointError, ConfigError
from ditkit.models import diffusers_layout, pixart_layout
from ditkit.models.adapters import Adapter, adapted, asked, read_changes
from ditkit.models.checkpoints import load_backbone, save
from ditkit.models.prompts import Prompts
from ditkit.models.registry import SPECS
from ditkit.models.spec import Defaults, ModelSpec
from tests.closeness import assert_close, evaluated, summed
from tests.models.tiny import DIT, PIXART, SIT, inputs, tiny

RANK = 3


def low_rank(outputs: int, inputs_: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"lora_A": torch.randn(RANK, inputs_, generator=generator), "lora_B": torch.randn(outputs, RANK, generator=generator)}


def write(path: Path, layers: dict[str, dict[str, Tensor]], before: str = "", config: dict[str, Any] | None = None) -> Path:
    """As PEFT writes a folder, with adapter_config.json, or as a single file."""
    tensors = {f"{before}{layer}.{kind}.weight": value for layer, parts in layers.items() for kind, value in parts.items()}
    if config is None:
        save_file(tensors, path)
        return path
    path.mkdir()
    save_file(tensors, path / "adapter_model.safetensors")
    (path / "adapter_config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 6, "r": RANK}, 2.0),
        ({"lora_alpha": 6, "use_rslora": True}, 6 / RANK**0.5),
        ({"lora_alpha": 6, "alpha_pattern": {"qkv": 3}}, 1.0),
        (None, 1.0),
    ],
)
def test_a_change_is_up_times_down_times_alpha_over_rank(config: dict[str, Any] | None, scale: float, tmp_path: Path) -> None:
    parts, state = low_rank(96, 32), tiny("dit").state_dict()
    path = write(tmp_path / "lora.safetensors", {"blocks.1.attn.qkv": parts}, "base_model.model.", config)
    merged, (said,) = adapted(state, DIT, [Adapter(path, 0.5)])
    expected = state["blocks.1.attn.qkv.weight"] + 0.5 * scale * parts["lora_B"] @ parts["lora_A"]
    assert_close(merged["blocks.1.attn.qkv.weight"], expected, summed(8), size=20.0)
    assert all(torch.equal(value, state[name]) for name, value in merged.items() if name != "blocks.1.attn.qkv.weight")
    assert said["scale"] == 0.5 and said["ranks"] == [RANK] and said["file"] == str(path)


@pytest.mark.parametrize(("name", "layout", "params"), [("dit", diffusers_layout, DIT), ("pixart", pixart_layout, PIXART)])
def test_diffusers_layers_are_found_among_the_published_ones(name: str, layout: Any, params: Any, tmp_path: Path) -> None:
    """Merging before renaming is renaming before merging, for every linear layer that diffusers has in a block."""
    state = tiny(name).state_dict()
    theirs = layout.to_diffusers(state)
    layers = [key.removesuffix(".weight") for key, value in theirs.items() if key.startswith("transformer_blocks.1.") and value.ndim == 2]
    layers = [layer for layer in layers if not layer.endswith(("scale_shift_table", "embedding_table")) and ".emb." not in layer]
    changes = {layer: low_rank(*theirs[f"{layer}.weight"].shape, seed=seed) for seed, layer in enumerate(layers)}
    path = write(tmp_path / "pytorch_lora_weights.safetensors", changes, "transformer.")
    merged, _ = adapted(state, params, [Adapter(path, 1.0)])
    expected = {**theirs, **{f"{at}.weight": theirs[f"{at}.weight"] + part["lora_B"] @ part["lora_A"] for at, part in changes.items()}}
    renamed = layout.to_diffusers(merged)
    assert len(layers) >= 7
    for key, value in expected.items():
        assert_close(renamed[key], value, summed(8), size=max(20.0, float(value.abs().max())))


def test_older_names_with_an_alpha_for_each_layer_are_read(tmp_path: Path) -> None:
    parts = low_rank(32, 32)
    tensors = {
        "transformer.blocks.0.attn.proj.lora.down.weight": parts["lora_A"],
        "transformer.blocks.0.attn.proj.lora.up.weight": parts["lora_B"],
        "transformer.blocks.0.attn.proj.alpha": torch.tensor(1.5),
    }
    save_file(tensors, tmp_path / "old.safetensors")
    changes, _ = read_changes(tmp_path / "old.safetensors")
    assert changes["blocks.0.attn.proj"].scale == 0.5


def test_several_are_merged_in_turn_and_named_in_the_origin(tmp_path: Path) -> None:
    spec = ModelSpec("tiny", "sit", SIT, "linear-flow", "pixels", 8, 4, Defaults("euler", 4, 1.5))
    save(tiny("sit").state_dict(), tmp_path / "w.safetensors", model="tiny", params=SIT)
    one = write(tmp_path / "one.safetensors", {"blocks.0.mlp.fc1": low_rank(128, 32)})
    two = write(tmp_path / "two.safetensors", {"blocks.0.mlp.fc1": low_rank(128, 32, 1)})
    plain = load_backbone(spec, str(tmp_path / "w.safetensors"))
    both = load_backbone(spec, str(tmp_path / "w.safetensors"), adapters=[Adapter(one, 1.0), Adapter(two, 1.0)])
    assert [adapter["file"] for adapter in both.origin["adapters"]] == [str(one), str(two)]
    assert both.origin["fingerprint"] != plain.origin["fingerprint"] and both.origin["sketch"] != plain.origin["sketch"]
    undone = load_backbone(spec, str(tmp_path / "w.safetensors"), adapters=[Adapter(one, 1.0), Adapter(one, -1.0)])
    assert_close(undone.backbone.blocks[0].mlp.fc1.weight, plain.backbone.blocks[0].mlp.fc1.weight, summed(8), size=20.0)


def test_a_scale_stands_behind_a_colon(tmp_path: Path) -> None:
    assert asked("style.safetensors:0.8") == Adapter(Path("style.safetensors"), 0.8)
    assert asked("style.safetensors") == Adapter(Path("style.safetensors"), 1.0)
    (tmp_path / "a:2").touch()
    assert asked(str(tmp_path / "a:2")) == Adapter(tmp_path / "a:2", 1.0)
    with pytest.raises(ConfigError, match="cannot read --lora a:b; write FILE or FILE:SCALE"):
        asked("a:b")
    with pytest.raises(ConfigError, match="is no finite number"):
        asked("a:nan")


def test_a_lora_of_another_kind_model_or_size_is_refused(tmp_path: Path) -> None:
    state = tiny("dit").state_dict()

    def refused(words: str, layers: dict[str, dict[str, Tensor]], config: dict[str, Any] | None = None) -> None:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        with pytest.raises(CheckpointError, match=words):
            adapted(state, DIT, [Adapter(write(path, layers, "", config), 1.0)])

    good = low_rank(96, 32)
    refused("changes blocks.9.attn.qkv, which this model has not; it is a LoRA of another model", {"blocks.9.attn.qkv": good})
    refused(r"changes blocks.0.attn.qkv of \(12, 32\), this model's is \(96, 32\)", {"blocks.0.attn.qkv": low_rank(12, 32)})
    refused("is no whole LoRA: blocks.0.attn.qkv lacks its up matrix", {"blocks.0.attn.qkv": {"lora_A": good["lora_A"]}})
    ranks = {"lora_A": good["lora_A"], "lora_B": good["lora_B"][:, :2].clone()}
    refused("is of rank 3 on one side and 2 on the other", {"blocks.0.attn.qkv": ranks})
    refused("another kind than plain LoRA .use_dora", {"blocks.0.attn.qkv": good}, {"use_dora": True})
    refused("another kind than plain LoRA .*bias all", {"blocks.0.attn.qkv": good}, {"bias": "all"})
    refused("another kind than plain LoRA .lora_bias", {"blocks.0.attn.qkv": good}, {"lora_bias": True})
    refused(
        "another kind than plain LoRA .init_lora_weights pissa_niter_4", {"blocks.0.attn.qkv": good}, {"init_lora_weights": "pissa_niter_4"}
    )
    refused("is no LoRA that ditkit can merge: it holds blocks.0.attn.qkv.weight", {"blocks.0.attn": {"qkv": good["lora_B"]}})
    with pytest.raises(CheckpointError, match="no such file or folder"):
        adapted(state, DIT, [Adapter(tmp_path / "gone", 1.0)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no LoRA: it has no adapter_model.safetensors or"):
        adapted(state, DIT, [Adapter(tmp_path / "empty", 1.0)])


def test_a_bias_beside_the_matrices_is_not_taken_for_one_of_them(tmp_path: Path) -> None:
    parts = low_rank(96, 32)
    tensors = {f"blocks.0.attn.qkv.{kind}.weight": value for kind, value in parts.items()}
    save_file({**tensors, "blocks.0.attn.qkv.lora_B.bias": torch.zeros(96)}, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=r"is no LoRA that ditkit can merge: it holds blocks.0.attn.qkv.lora_B.bias$"):
        read_changes(tmp_path / "lora.safetensors")


@pytest.mark.parametrize("family", ["dit", "pixart"])
def test_peft_on_diffusers_networks_says_the_same(family: str, tmp_path: Path) -> None:
    peft, diffusers = pytest.importorskip("peft"), importlib.import_module("diffusers")
    layout, params = (diffusers_layout, replace(DIT, compat="diffusers")) if family == "dit" else (pixart_layout, PIXART)
    mine = tiny(family)
    theirs: Any = (diffusers.DiTTransformer2DModel if family == "dit" else diffusers.PixArtTransformer2DModel)(
        **{key: value for key, value in layout.to_config(params).items() if not key.startswith("_")}
    )
    theirs.load_state_dict(layout.to_diffusers(mine.state_dict()), strict=False)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_k", "to_v", "to_out.0", "ff.net.2"], init_lora_weights=False)
    torch.manual_seed(0)
    theirs = peft.get_peft_model(theirs.eval(), config)
    theirs.save_pretrained(tmp_path / "lora")
    spec = ModelSpec("tiny", family, params, "linear", "pixels", 8, 4, Defaults("ddim", 4, 1.5), text="t5" if family == "pixart" else None)
    save(
        mine.state_dict(),
        tmp_path / "w.safetensors",
        model="tiny",
        params=replace(params, **({"compat": "official"} if family == "dit" else {})),
    )
    loaded = load_backbone(spec, str(tmp_path / "w.safetensors"), adapters=[Adapter(tmp_path / "lora", 1.0)]).backbone
    x, t, y = inputs(loaded)
    with torch.no_grad():
        out = loaded(x, loaded.condition(t.round(), y))
        if family == "dit":
            said = torch.cat([theirs(x[i : i + 1], t[i : i + 1].round(), class_labels=y[i : i + 1]).sample for i in range(len(x))])
        else:
            prompts = Prompts(torch.randn(3, 5, PIXART.caption_width), torch.ones(3, 5))
            out = loaded(x, loaded.condition(t.round(), loaded.prepare(prompts)))
            said = theirs(x, encoder_hidden_states=prompts.features, timestep=t.round(), encoder_attention_mask=prompts.mask,
                          added_cond_kwargs={"resolution": None, "aspect_ratio": None}).sample  # fmt: skip
    assert_close(out, said, evaluated(loaded, foreign=True))


def test_every_registered_transformer_of_diffusers_has_places_for_its_layers() -> None:
    from ditkit.models.adapters import diffusers_names

    for name in ("dit-xl-2-256", "pixart-xl-2-512", "pixart-sigma-xl-2-1024-ms"):
        names = diffusers_names(SPECS[name].params)
        assert names["blocks.27.attn.qkv"] == tuple(f"transformer_blocks.27.attn1.to_{part}" for part in "qkv")
    assert diffusers_names(SPECS["sit-xl-2-256"].params) == {}
