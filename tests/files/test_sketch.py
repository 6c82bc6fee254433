"""A sketch names weights across layouts and precisions, and tells retrained ones apart."""

import pytest
import torch

from ditkit.files.sketch import same_weights, sketch
from ditkit.models.diffusers_layout import to_diffusers, to_official
from tests.models.tiny import FAMILIES, tiny


def _moved(state: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    noise = torch.Generator().manual_seed(12345)
    return {name: value + share * value.square().mean().sqrt() * torch.randn(value.shape, generator=noise) for name, value in state.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_rounded_copies_are_the_same_weights_and_retrained_ones_are_not(family: str) -> None:
    state = tiny(family).state_dict()
    name = sketch(state)
    assert len(name) == 64 and same_weights(name, sketch(dict(reversed(state.items()))))
    for precision in (torch.float16, torch.bfloat16):
        assert same_weights(name, sketch({key: value.to(precision) for key, value in state.items()}))
    assert not same_weights(name, sketch(_moved(state, 0.02)))
    assert not same_weights(name, sketch(tiny(family, seed=1).state_dict()))


def test_the_diffusers_layout_has_the_same_sketch() -> None:
    state = tiny("dit").state_dict()
    assert same_weights(sketch(state), sketch(to_official(to_diffusers(state))))


def test_what_is_no_sketch_is_no_match() -> None:
    name = sketch(tiny("dit").state_dict())
    assert not same_weights(name, name[:-4])


def test_a_tensor_longer_than_a_fold_counts_to_its_end() -> None:
    long = torch.randn(40_000, generator=torch.Generator().manual_seed(0))
    other = long.clone()
    other[-2000:] *= -1
    assert not same_weights(sketch({"w": long}), sketch({"w": other}))
