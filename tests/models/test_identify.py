import re
from dataclasses import replace

import pytest
import torch

from ditkit.models.blank import blank
from ditkit.models.checkpoints import with_compat
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.identify import as_kin, describe, identify, registered
from ditkit.models.registry import SPECS, find
from ditkit.models.spec import Params
from ditkit.models.uvit import UViTParams
from tests.models.tiny import FAMILIES, tiny


def shapely(name: str) -> str:
    """The model of the same shapes that is taken for one that differs in its noise schedule, its windows or its prompts only."""
    alpha = {"pixart-sigma-xl-2-256": "pixart-xl-2-256", "pixart-sigma-xl-2-512-ms": "pixart-xl-2-512"}
    return alpha.get(name) or re.sub("-(airplane|windows|windows-only)$", "", name)


@pytest.mark.parametrize("name", SPECS)
def test_every_registered_model_is_told_from_its_shapes(name: str) -> None:
    state, alike = blank(find(name).params).state_dict(), find(shapely(name))
    shown = identify(state)
    assert shown is not None and as_kin(shown, alike.params) == alike.params
    assert registered(alike.params) is alike


def test_the_windows_of_the_paper_are_in_every_third_block() -> None:
    params = find("dit3d-s-4-32-windows").params
    assert isinstance(params, DiT3DParams) and (params.window, params.window_blocks) == (4, (0, 3, 6, 9))


@pytest.mark.parametrize("name", FAMILIES)
def test_so_is_one_of_another_size(name: str) -> None:
    params = FAMILIES[name][1]
    shown = identify(tiny(name).state_dict())
    assert as_kin(shown, params) == replace(params, heads=1)  # 32 wide: one head of width 32


def test_without_a_position_table_the_input_size_stays_open() -> None:
    state = tiny("dit").state_dict()
    del state["pos_embed"]
    params = identify(state)
    assert params is not None
    assert params.input_size == 0


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (find("dit-b-4-256").params, "DiT-B/4 at 256 px"),
        (with_compat(find("dit-xl-2-512"), "diffusers").params, "DiT-XL/2 at 512 px"),
        (replace(find("dit-s-2-256").params, input_size=0), "DiT-S/2"),
        (replace(find("dit-s-2-256").params, input_size=16, classes=10), "DiT-S/2 with input 16"),
        (find("uvit-h-2-256").params, "U-ViT-H/2 at 256 px"),
        (find("dit-emoji").params, f"dit-emoji at {find('dit-emoji').image_size} px"),
        (UViTParams(width=96, depth=4, heads=3, patch=2, input_size=8), "U-ViT of width 96, depth 4, patch 2 with input 8"),
    ],
)
def test_models_are_called_by_the_names_people_use(params: Params, words: str) -> None:
    assert describe(params) == words


def test_what_is_no_model_is_not_identified() -> None:
    assert identify({}) is None
    assert identify({"x_embedder.proj.weight": torch.ones(4)}) is None
    assert identify({"x_embedder.proj.weight": torch.ones(4, 3, 2, 2)}) is None
