from pathlib import Path

import pytest
import torch

from ditkit.models.own_names import own_names
from ditkit.models.reading import read_checkpoint
from tests.models.tiny import FAMILIES, tiny

WRAPPED = ["_fsdp_wrapped_module.", "_forward_module.", "_forward_module.model.", "diffusion_model.", "a.b.c.", "trainer.module.dit."]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prefix", WRAPPED)
def test_a_network_is_found_in_a_module_of_any_name(prefix: str, family: str) -> None:
    state = tiny(family).state_dict()
    own, note = own_names({f"{prefix}{name}": value for name, value in state.items()})
    assert (own.keys(), note) == (state.keys(), None)


def test_what_lies_beside_the_network_is_left_out_and_said(tmp_path: Path) -> None:
    state = {f"net.{name}": value for name, value in tiny("dit").state_dict().items()}
    others = {"loss_fn.net.0.weight": torch.zeros(2, 2), "vae.encoder.conv_in.weight": torch.zeros(3), "step": torch.tensor(3)}
    torch.save({"state_dict": {**state, **others}}, tmp_path / "last.ckpt")
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint.state.keys() == tiny("dit").state_dict().keys()
    assert checkpoint.notes == ("last.ckpt: taken is its part net, and left out loss_fn, vae",)


def test_of_several_networks_none_is_guessed() -> None:
    two = {f"{part}.{name}": value for part in ("one", "two") for name, value in tiny("dit").state_dict().items()}
    assert own_names(two) == (two, None)


def test_what_a_network_has_beside_its_patches_stays() -> None:
    state = {**tiny("sit").state_dict(), "projectors.0.0.weight": torch.zeros(2, 2)}
    assert own_names(state) == (state, None)
