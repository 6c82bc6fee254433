"""Whatever holds a module's tensors comes back as it was, with what is put in their place."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from ditkit.errors import PlanMismatch
from ditkit.pipelines.outputs import packed

diffusers_output: Any = import_module("diffusers.models.modeling_outputs").Transformer2DModelOutput


class Named(NamedTuple):
    sample: Tensor
    extra: Tensor | None


@dataclass
class Plain:
    sample: Tensor
    states: tuple[Tensor, ...]


def _noise(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


ONE, OTHER = _noise(0, 2, 4, 3, 3), _noise(1, 2, 5)
OUTPUTS = {
    "a tensor": ONE,
    "a tuple of one": (ONE,),
    "a tuple": (ONE, OTHER),
    "a list": [ONE, OTHER],
    "a tuple with nothing in it": (ONE, None),
    "a named tuple": Named(ONE, None),
    "a dictionary": {"sample": ONE, "states": [OTHER]},
    "a dataclass": Plain(ONE, (OTHER, ONE)),
    "diffusers' own": diffusers_output(sample=ONE),
    "of several dtypes": (ONE, _noise(2, 3, dtype=torch.bfloat16)),
}


def _flat(output: Any) -> list[Any]:
    """Everything in it, with the kinds of what holds it."""
    if isinstance(output, Tensor) or output is None:
        return [output]
    values = output.values() if isinstance(output, dict) else vars(output).values() if isinstance(output, Plain) else output
    return [type(output), *(each for value in values for each in _flat(value))]


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_comes_back_as_it_was_and_is_doubled_with_its_tensor(name: str) -> None:
    output = OUTPUTS[name]
    tensor, held = packed(output)
    for factor in (1, 2):
        again = held.back(tensor * factor)
        for made, wanted in zip(_flat(again), _flat(output), strict=True):
            if isinstance(wanted, Tensor):
                assert made.dtype == wanted.dtype and torch.equal(made, wanted * factor)
            else:
                assert made == wanted


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ((ONE, "a cat"), "returns a str"),
        (torch.arange(3), "returns a tensor of torch.int64"),
        ((None,), "returns no tensor"),
        ({"sample": ONE, "kept": 3}, "returns a int"),
    ],
)
def test_what_cannot_be_forecast_is_refused(output: Any, words: str) -> None:
    with pytest.raises(PlanMismatch, match=words):
        packed(output)
