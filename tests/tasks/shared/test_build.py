"""What is built of a configuration."""

import pytest
import torch

from ditkit.config.schema import RuntimeConfig
from ditkit.errors import RequestError
from ditkit.tasks.shared.build import recorded

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def test_runs_are_recorded_where_they_are_compiled_for_a_gpu_unless_it_is_said() -> None:
    assert [recorded(RuntimeConfig(compile=compiled), CUDA) for compiled in (False, True)] == [False, True]
    assert [recorded(RuntimeConfig(compile=compiled), CPU) for compiled in (False, True)] == [False, False]
    assert recorded(RuntimeConfig(graphs=True), CUDA) and not recorded(RuntimeConfig(compile=True, graphs=False), CUDA)


def test_cuda_graphs_are_refused_where_there_is_no_cuda() -> None:
    with pytest.raises(RequestError, match="the device is cpu; leave it out"):
        recorded(RuntimeConfig(graphs=True), CPU)
