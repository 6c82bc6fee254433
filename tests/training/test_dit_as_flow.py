"""A flow that goes on from a DiT: the same network, told the levels that it knows, answering with minus the noise."""

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from ditkit.diffusion.schedule import linear_flow, vp_flow
from ditkit.models.kin import Kin
from ditkit.models.reading import Checkpoint
from ditkit.models.sit import SiT, SiTParams, dit_time
from ditkit.training.transfer import start_from
from tests.closeness import near
from tests.models.tiny import DIT, inputs, tiny

LEVELS = SiTParams(**asdict(replace(DIT, learn_sigma=False)), clock="levels")
IS_DIT = Kin("dit", "it says so itself")


def started(params: SiTParams, dit: Any) -> tuple[Any, frozenset[str]]:
    model: Any = SiT(params)
    return model, start_from(model, Checkpoint(dit.state_dict(), DIT, kin=IS_DIT), "dit.pt")


def test_a_dit_is_told_the_time_of_as_much_signal_per_noise() -> None:
    linear, vp = linear_flow(), vp_flow()
    for u in (0.1, 0.3, 0.5, 0.8, 0.95, 0.99):
        expected = 1000 * vp.time_at(linear.level_at(u).lam) - 1
        assert float(dit_time(torch.tensor(1000 * u))) == near(expected, dtype=torch.float32, size=1000.0)
    ends = dit_time(torch.tensor([0.0, 1000.0]))
    assert ends.tolist() == [0.0, 999.0]


@pytest.mark.parametrize("learn_sigma", [False, True])
@torch.no_grad()
def test_the_flow_begins_as_minus_the_noise_of_the_dit(learn_sigma: bool) -> None:
    dit = tiny("dit")
    model, fresh = started(replace(LEVELS, learn_sigma=learn_sigma), dit)
    x, t, y = inputs(dit)
    assert not fresh
    assert torch.equal(model(x, model.condition(t, y)), -dit(x, dit.condition(dit_time(t), y))[:, : DIT.channels])


def test_a_time_that_a_dit_never_saw_starts_afresh_and_so_does_a_label_table_of_others() -> None:
    dit = tiny("dit")
    model, fresh = started(replace(LEVELS, clock="data", classes=3), dit)
    assert {name.partition(".")[0] for name in fresh} == {"t_embedder", "y_embedder"}
    assert torch.equal(model.blocks[1].attn.qkv.weight, dit.blocks[1].attn.qkv.weight)


def test_a_flow_that_goes_on_from_a_flow_keeps_everything() -> None:
    other, model = tiny("sit"), SiT(tiny("sit").params)
    assert not start_from(model, Checkpoint(other.state_dict(), other.params, kin=Kin("sit", "")), "sit.pt")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
