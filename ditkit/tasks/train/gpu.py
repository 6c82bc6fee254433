"""What training does on a CUDA device beside what it does everywhere: sums in one order, and compiled blocks if they are asked for."""

import os
from typing import Any

import torch
from torch import nn

from ditkit.config.schema import RuntimeConfig
from ditkit.tasks.shared import build


def repeatable(where: torch.device) -> None:
    """Have the device add in the same order each time, so that a run that is killed and goes on ends with the bits of one that was not.

    What torch has no such kernel for it says in a warning. To be called before the device is first used.
    """
    if where.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it matrix products may choose their order anew
    torch.use_deterministic_algorithms(True, warn_only=True)
    modes: Any = torch.utils.deterministic
    modes.fill_uninitialized_memory = False  # which only finds mistakes, and costs a pass over everything


def compiled(network: nn.Module, runtime: RuntimeConfig, where: torch.device) -> nn.Module:
    """The network, its forward pass compiled where `runtime.compile` asks for it; on a CPU never, where it was hardly faster."""
    if where.type == "cuda" and build.compiled(runtime, where):
        network.compile()  # in place: parameters keep their names
    return network
