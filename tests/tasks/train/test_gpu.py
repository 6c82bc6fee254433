"""What is asked of a CUDA device in training, and of no other."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from ditkit.config.schema import RuntimeConfig
from ditkit.tasks.train import gpu

MODES: Any = torch.utils.deterministic
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *words, **named: calls.append((words, named)))
    monkeypatch.setattr(MODES, "fill_uninitialized_memory", True)
    monkeypatch.setattr(nn.Module, "compile", lambda module: calls.append(module))
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    return calls


def test_a_gpu_is_asked_to_add_in_one_order(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.repeatable(CPU)
    assert asked == []
    gpu.repeatable(CUDA)
    assert asked == [((True,), {"warn_only": True})] and not MODES.fill_uninitialized_memory
    assert gpu.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_network_is_compiled_on_a_gpu_that_is_asked_to(asked: list[Any]) -> None:
    network = nn.Linear(2, 2)
    for where, compiles in ((CPU, False), (CPU, True), (CUDA, False)):
        assert gpu.compiled(network, RuntimeConfig(compile=compiles), where) is network
    assert asked == []
    gpu.compiled(network, RuntimeConfig(compile=True), CUDA)
    assert asked == [network]


def test_a_compiled_network_can_be_copied_for_its_average_and_keeps_its_names() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    names = list(network.state_dict())
    network.compile(backend="eager")
    average = copy.deepcopy(network)
    assert list(network.state_dict()) == list(average.state_dict()) == names
    assert average[0].weight is not network[0].weight
