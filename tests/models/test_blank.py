import subprocess
import sys

import pytest
import torch

from ditkit.models.blank import blank, family_of
from ditkit.models.registry import SPECS
from tests.models.tiny import FAMILIES, tiny


@pytest.mark.parametrize("name", FAMILIES)
def test_a_blank_network_has_the_sizes_and_no_weights(name: str) -> None:
    model, empty = tiny(name), blank(FAMILIES[name][1])
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert [(key, value.shape) for key, value in empty.state_dict().items()] == [
        (key, value.shape) for key, value in model.state_dict().items()
    ]
    assert (empty.sites, empty.multiply_adds()) == (model.sites, model.multiply_adds())


def test_drawing_is_back_to_normal_afterwards() -> None:
    blank(FAMILIES["dit"][1])
    assert torch.empty(100).normal_().std() > 0


def test_no_compiler_is_imported_for_it() -> None:
    lines = (
        "import sys",
        "from ditkit.models import blank, registry",
        "blank.blank(registry.find('uvit-emoji').params), blank.blank(registry.find('dit-emoji').params)",
        "print('sympy' in sys.modules)",
    )
    assert subprocess.run([sys.executable, "-c", "; ".join(lines)], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_registered_model_knows_its_family() -> None:
    assert all(family_of(spec.params) == spec.family for spec in SPECS.values())
