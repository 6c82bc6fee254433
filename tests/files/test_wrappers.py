import pytest
import torch
from torch import nn

from ditkit.files.wrappers import unwrapped


def network() -> nn.Module:
    return nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]), "x_embedder": nn.Linear(2, 2)})


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "base_model.",
        "model.",
        "network.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.network.module.",
        "base_model.model.",
    ],
)
def test_prefixes_in_any_nesting_are_taken_off(prefix: str) -> None:
    state = network().state_dict()
    assert unwrapped({f"{prefix}{name}": value for name, value in state.items()}).keys() == state.keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile's own imports
def test_what_torch_wraps_itself_is_read() -> None:
    whole = network()
    averaged = torch.optim.swa_utils.AveragedModel(torch.compile(whole))  # pyright: ignore[reportArgumentType]
    assert {"n_averaged", "module._orig_mod.x_embedder.weight"} <= averaged.state_dict().keys()
    assert unwrapped(averaged.state_dict()).keys() == whole.state_dict().keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_wrapper_around_a_part_is_taken_off_too() -> None:
    compiled = network()
    names = compiled.state_dict().keys()
    compiled.blocks[0] = torch.compile(compiled.blocks[0])  # pyright: ignore[reportIndexIssue, reportArgumentType, reportCallIssue]
    assert compiled.state_dict().keys() != names
    assert unwrapped(compiled.state_dict()).keys() == names


def test_names_that_would_become_one_stay() -> None:
    state = {"model.a": torch.zeros(1), "a": torch.ones(1)}
    assert unwrapped(state) == state
