"""Starting a DiT-3D from other models, and training only a small part of it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ditkit.errors import CheckpointError
from ditkit.models.dit import DiT, DiTParams
from ditkit.models.dit3d import DiT3D, DiT3DParams
from ditkit.models.reading import Checkpoint
from ditkit.models.registry import build, find
from ditkit.training.transfer import merged, start_from, train_lightly
from tests.closeness import assert_close, evaluated
from tests.models.tiny import DIT3D, inputs, tiny

FLAT = DiTParams(width=36, depth=3, heads=2, patch=2, input_size=8, classes=5)


def output(model: Any) -> Tensor:
    x, t, y = inputs(model)
    return model(x, model.condition(t, y))


def test_a_dit_gives_its_blocks_and_nothing_else() -> None:
    flat, model = DiT(FLAT), DiT3D(DIT3D)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fresh = start_from(model, Checkpoint(flat.state_dict(), FLAT), "flat.pt")
    for name, value in model.state_dict().items():
        assert torch.equal(value, flat.state_dict()[name] if name.startswith("blocks.") else before[name])
    assert {name.partition(".")[0] for name in fresh} == {"x_embedder", "t_embedder", "y_embedder", "final_layer"}


def test_a_dit3d_of_another_category_gives_all_that_fits() -> None:
    other = tiny("dit3d")
    model = DiT3D(DIT3D)
    assert start_from(model, Checkpoint(other.state_dict(), other.params), "other") == frozenset()
    assert torch.equal(output(model), output(other))
    more = DiT3D(replace(DIT3D, classes=7, input_size=16))
    assert start_from(more, Checkpoint(other.state_dict(), None), "other") == {"y_embedder.embedding_table.weight"}


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (replace(FLAT, width=72), r"^w.pt has 3 blocks of width 72; DiT-3D of width 36, .* needs 2 of width 36$"),
        (replace(FLAT, depth=1), r"^w.pt has 1 blocks of width 36; DiT-3D of width 36, .* needs 2 of width 36$"),
        (replace(FLAT, heads=3), r"^w.pt was trained with 3 attention heads, DiT-3D of width 36, .* has 2$"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(theirs: DiTParams, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        start_from(DiT3D(DIT3D), Checkpoint(DiT(theirs).state_dict(), theirs), "w.pt")


def test_weights_of_another_family_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^w.pt is neither a DiT nor a DiT-3D"):
        start_from(DiT3D(DIT3D), Checkpoint(tiny("uvit").state_dict(), tiny("uvit").params), "w.pt")


def test_light_training_changes_no_output_at_first_and_few_numbers_later() -> None:
    model = tiny("dit3d")
    expected = output(model)
    train_lightly(model)
    assert torch.equal(output(model), expected)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {
        name
        for name, parameter in model.named_parameters()
        if name.endswith((".bias", ".scale")) or name == "y_embedder.embedding_table.weight"
    }
    published: Any = build(find("dit3d-s-4-32"))
    train_lightly(published)
    count = sum(parameter.numel() for parameter in published.parameters() if parameter.requires_grad)
    assert 0.07e6 < count < 0.09e6  # published: 0.09 M of 32.8 M


def test_what_stays_fresh_is_trained_too() -> None:
    model = DiT3D(DIT3D)
    train_lightly(model, start_from(model, Checkpoint(DiT(FLAT).state_dict(), FLAT), "flat.pt"))
    parameters = dict(model.named_parameters())
    assert parameters["x_embedder.proj.weight"].requires_grad and parameters["final_layer.linear.weight"].requires_grad
    assert not parameters["blocks.0.mlp.fc1.weight"].requires_grad


def test_factors_are_merged_into_their_layers() -> None:
    model = tiny("dit3d")
    train_lightly(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".scale"):
                parameter.copy_(torch.linspace(0.5, 2, len(parameter)))
    plain = DiT3D(DIT3D)
    plain.load_state_dict(merged(model.state_dict()))
    assert_close(output(plain), output(model), evaluated(plain))
    assert isinstance(plain.params, DiT3DParams)
