"""Which of `torchrun`'s processes this one is, and the exchanges that training makes between them."""

import atexit
import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ditkit.errors import ProcessLost

PATIENCE = timedelta(days=7)  # a process may wait while another encodes a large data set; torchrun itself notices one that died

BROKEN = "gloo/transport"  # in what gloo says of a connection, as a plain RuntimeError; nccl's errors are `DistError`

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """Process `rank` of `size`; a run without torchrun is process 0 of 1."""

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """This process's contiguous part of `count` things, the same cut on every process."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


def join_world(device: torch.device) -> World:
    """Join the other processes when started by torchrun (nccl on cuda, gloo elsewhere); alone otherwise.

    They part when the process ends, not before: gloo cannot join the same processes a second time without a chance to wait for ever.
    Nor later: a thread of gloo that outlives the interpreter aborts the process when it frees a tensor. `torch.distributed.nn`, which
    `torch.compile` imports, takes the group of that moment for its functions' defaults and so keeps it: import it while there is none.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World()
    importlib.import_module("torch.distributed.nn")
    if not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)  # nccl exchanges through the current one
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)
    return World(dist.get_rank(), dist.get_world_size())


def barrier(world: World) -> None:
    """Wait until every process is here."""
    if world.size > 1:
        with _together():
            dist.barrier()


def gather(value: T, world: World) -> list[T]:
    """Every process's value, by rank, on every process."""
    values = [value] * world.size
    if world.size > 1:
        with _together():
            dist.all_gather_object(values, value)
    return values


def sum_gradients(parameters: Iterable[torch.nn.Parameter], world: World) -> None:
    """Add every process's gradients together in place, in one exchange; a missing gradient counts as zero."""
    if world.size == 1:
        return
    owners = [parameter for parameter in parameters if parameter.requires_grad]
    gradients: list[Tensor] = [torch.zeros_like(p) if p.grad is None else p.grad for p in owners]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    with _together():
        dist.all_reduce(flat)
    for parameter, gradient in zip(owners, flat.split([g.numel() for g in gradients]), strict=True):
        parameter.grad = gradient.view_as(parameter)


def averaged(values: Mapping[str, Tensor], world: World) -> dict[str, Tensor]:
    """The means of scalars over the processes, in one exchange."""
    if world.size == 1:
        return dict(values)
    means = torch.stack([value.detach().float() for value in values.values()]) / world.size
    with _together():
        dist.all_reduce(means)
    return dict(zip(values, means.unbind(), strict=True))


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """An exchange; raises `ProcessLost` if another process ended before it."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and BROKEN not in str(error):
            raise
        lost = "another of torchrun's processes is gone, and none goes on alone; the same command goes on from what is saved"
        raise ProcessLost(lost) from error
