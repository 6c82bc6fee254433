from pathlib import Path

import pytest
import torch
from torch import Tensor

from ditkit.errors import CheckpointError
from ditkit.models.checkpoints import convert, load_into, read_checkpoint, save
from ditkit.models.diffusers_layout import from_config, is_diffusers_dit, position_table, to_config, to_diffusers, to_official
from ditkit.models.dit import DiT, DiTParams
from tests.closeness import assert_close, evaluated
from tests.golden_files import golden
from tests.models.tiny import DIT, inputs, tiny

CONFIG = {
    "num_attention_heads": 4,
    "attention_head_dim": 16,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 3,
    "sample_size": 8,
    "patch_size": 2,
    "num_embeds_ada_norm": 10,
}


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return golden("diffusers_dit_tiny")


def weights(reference: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[3:]: value for name, value in reference.items() if name.startswith("sd.")}


@torch.no_grad()
@pytest.mark.parametrize(("compat", "expected"), [("official", "out.official_equations"), ("diffusers", "out.sample")])
def test_converted_weights_give_the_reference_output(reference: dict[str, Tensor], compat: str, expected: str) -> None:
    model = DiT(DiTParams(width=64, depth=3, heads=4, patch=2, input_size=8, classes=10, compat=compat)).eval()
    load_into(model, to_official(weights(reference)))
    out = model(reference["in.x"], model.condition(reference["in.t"], reference["in.y"]))
    assert_close(out, reference[expected], evaluated(model, foreign=True))


def test_the_position_table_is_diffusers_own(reference: dict[str, Tensor]) -> None:
    assert torch.equal(position_table(from_config(CONFIG)), reference["out.pos_embed"])


def test_the_key_maps_are_each_others_inverse(reference: dict[str, Tensor]) -> None:
    theirs = weights(reference)
    assert is_diffusers_dit(theirs)
    ours = to_official(theirs)
    assert not is_diffusers_dit(ours)
    back = to_diffusers(ours)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)
    again = to_official(back)
    assert again.keys() == ours.keys() == DiT(from_config(CONFIG)).state_dict().keys() - {"pos_embed"}
    assert all(torch.equal(again[name], ours[name]) for name in ours)


def test_copies_of_an_embedding_that_differ_are_refused(reference: dict[str, Tensor]) -> None:
    theirs = weights(reference)
    name = "transformer_blocks.2.norm1.emb.timestep_embedder.linear_2.bias"
    theirs[name] = theirs[name] + 1e-3
    with pytest.raises(CheckpointError, match=r"t_embedder\.mlp\.2\.bias differs between blocks 0 and 2"):
        to_official(theirs)


def test_keys_that_belong_to_nothing_are_kept_for_the_loader_to_report(reference: dict[str, Tensor]) -> None:
    theirs = weights(reference)
    del theirs["transformer_blocks.1.attn1.to_k.weight"]
    theirs["lora.weight"] = torch.ones(1)
    with pytest.raises(
        CheckpointError, match=r"1 missing \(blocks\.1\.attn\.qkv\.weight\); 3 unexpected \(lora\.weight, transformer_blocks\.1\."
    ):
        load_into(DiT(from_config(CONFIG)), to_official(theirs))


def test_the_configuration_survives_a_round_trip() -> None:
    for params in (DIT, DiTParams(width=48, depth=3, heads=3, patch=4, input_size=16, channels=3, classes=7, learn_sigma=False)):
        assert from_config(to_config(params)) == params


@pytest.mark.parametrize("broken", [{}, {**CONFIG, "sample_size": None}, {**CONFIG, "num_layers": "many"}])
def test_a_configuration_of_something_else_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json is not that of a diffusers DiT"):
        from_config(broken)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@torch.no_grad()
def test_diffusers_itself_reads_what_we_write_and_we_what_it_writes(tmp_path: Path) -> None:
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

    model = tiny("dit")
    save(model.state_dict(), tmp_path / "ours.safetensors", model="tiny", params=DIT)
    assert convert(tmp_path / "ours.safetensors", tmp_path / "folder", "diffusers") == DIT
    theirs = DiTTransformer2DModel.from_pretrained(tmp_path / "folder", low_cpu_mem_usage=False)
    assert isinstance(theirs, DiTTransformer2DModel)
    theirs.save_pretrained(tmp_path / "again" / "transformer", safe_serialization=False)  # as facebook/DiT-XL-2-256 is published

    checkpoint = read_checkpoint(tmp_path / "again")
    assert checkpoint.params == DIT
    assert checkpoint.state.keys() == model.state_dict().keys()
    assert all(torch.equal(checkpoint.state[name], value) for name, value in model.state_dict().items())

    compatible = DiT(DiTParams(width=32, depth=2, heads=2, patch=2, input_size=8, classes=5, compat="diffusers")).eval()
    load_into(compatible, checkpoint.state)
    x, t, y = inputs(model)
    expected = theirs.eval()(x, timestep=t.round().long(), class_labels=y).sample
    assert_close(compatible(x, compatible.condition(t.round(), y)), expected, evaluated(model, foreign=True))
