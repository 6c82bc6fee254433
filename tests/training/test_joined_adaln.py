"""PixArt's adaLN out of DiT's: equal on average, and equal everywhere where the blocks agree."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ditkit.errors import CheckpointError
from ditkit.models.dit import DiT
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.reading import Checkpoint
from ditkit.training.joined_adaln import joined_adaln
from ditkit.training.transfer import start_from
from tests.closeness import assert_close, evaluated
from tests.models.tiny import DIT, drawn, prompts, tiny

PARAMS = PixArtParams(width=DIT.width, depth=2, heads=2, patch=2, input_size=8, caption_width=10)
TIMES = torch.arange(1000.0)


def started(dit: DiT) -> PixArt:
    model = PixArt(PARAMS)
    start_from(model, Checkpoint(dit.state_dict(), DIT), "dit.pt")
    return model


@torch.no_grad()
def vectors_of(dit: DiT) -> torch.Tensor:
    """A DiT's adaLN vectors (times, 6 per block + 2, D) for a label whose embedding is the mean of all."""
    c = F.silu(dit.t_embedder(TIMES) + dit.y_embedder.embedding_table.weight[:-1].mean(0))
    owners: list[Any] = [*dit.blocks, dit.final_layer]
    layers = [owner.adaLN_modulation[1] for owner in owners]
    return torch.cat([layer(c) for layer in layers], dim=-1).unflatten(-1, (-1, DIT.width))


@torch.no_grad()
def test_every_vector_is_the_dits_on_average_over_time() -> None:
    dit = tiny("dit")
    model = started(dit)
    made = model.condition(TIMES, model.prepare(prompts(PARAMS, 1))).vectors[:, :, 0]
    assert_close(made.mean(0), vectors_of(dit).mean(0), evaluated(dit))


@torch.no_grad()
def test_where_the_blocks_agree_but_for_a_constant_nothing_is_lost() -> None:
    dit = tiny("dit")
    first, second = (block.adaLN_modulation[1] for block in dit.blocks)
    second.weight.copy_(first.weight)
    model = started(dit)
    made = model.condition(TIMES, model.prepare(prompts(PARAMS, 1))).vectors[:, :-2, 0]
    assert_close(made, vectors_of(dit)[:, :-2], evaluated(dit))


def test_a_dit_gives_a_pixart_all_but_what_reads_the_prompt() -> None:
    dit, model = tiny("dit"), PixArt(PARAMS)
    fresh = start_from(model, Checkpoint(dit.state_dict(), DIT), "dit.pt")
    assert {name.split(".")[2] if "blocks" in name else name.split(".")[0] for name in fresh} == {"cross_attn", "y_embedder"}
    state, theirs = model.state_dict(), dit.state_dict()
    for part in ("blocks.1.attn.qkv.weight", "blocks.0.mlp.fc2.bias", "x_embedder.proj.weight", "final_layer.linear.weight"):
        assert torch.equal(state[part], theirs[part])
    assert not state["blocks.1.cross_attn.proj.weight"].any()  # the prompt adds nothing at first
    assert joined_adaln(theirs, DIT.depth).keys() == model.state_dict().keys() - fresh - {"pos_embed"}


def test_a_dit_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^dit.pt has 2 blocks of width 32; PixArt of width 32, .* needs 3 of width 32$"):
        start_from(PixArt(replace(PARAMS, depth=3)), Checkpoint(tiny("dit").state_dict(), DIT), "dit.pt")
    with pytest.raises(CheckpointError, match=r"^w.pt does not fit PixArt of width 32"):
        start_from(PixArt(PARAMS), Checkpoint(tiny("uvit").state_dict(), None), "w.pt")


def test_a_pixart_gives_a_pixart_everything() -> None:
    other, model = drawn(PixArt(PARAMS)), PixArt(PARAMS)
    assert start_from(model, Checkpoint(other.state_dict(), PARAMS), "w.pt") == frozenset()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
