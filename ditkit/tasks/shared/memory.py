"""Whether there is memory for what is asked, told before anything is written or waited for."""

import contextlib
import math
import os
from pathlib import Path

import torch

from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.errors import RequestError
from ditkit.models.spec import ModelSpec

LISTED = 500  # bytes that a sample takes in lists and in the manifest, whatever it is
FLOATS = 2 * 3 * 4  # bytes of a pixel or point: three numbers, as they are made and as they are written
CGROUP = Path("/sys/fs/cgroup/memory.max")


def check_room(model: Model, request: SamplingRequest) -> None:
    """Raise `RequestError` for a request that cannot fit into this machine's memory, by what its samples take at least.

    What the network takes while it runs is not counted: a batch that is too large for it is halved until it fits.
    """
    there, spec, count = memory(), model.spec, len(request.seeds)
    size = math.prod(request.picture) if request.picture else spec.points or spec.image_size**2
    latent = (1 + request.solver.draws) * latent_bytes(spec)
    batch = min(request.batch, count)
    smaller = "--points" if spec.points else "--size" if spec.text else "--count"
    _check(
        batch * (FLOATS * size + latent),
        there,
        f"{batch} at a time",
        f"a smaller --batch or {smaller}" if batch > 1 else f"a smaller {smaller}",
    )
    _check(count * (LISTED + (FLOATS * size if spec.points else 0)), there, f"{count} together", "a smaller --count")


def check_batch(batch: int, each: int, where: torch.device) -> None:
    """Raise `RequestError` for a batch of examples, of at least so many bytes `each`, that cannot fit where it is learned from."""
    there = torch.cuda.get_device_properties(where).total_memory if where.type == "cuda" else memory()
    _check(batch * each, there, f"{batch} examples at a time", "a smaller --batch")


def latent_bytes(spec: ModelSpec) -> int:
    return 4 * math.prod(spec.sample_shape)


def example_bytes(spec: ModelSpec) -> int:
    """What training keeps of an example at least: its latent, and in half precision what goes into each block, for the way back.

    How many tokens a model of many shapes sees is not known here: it has at least one.
    """
    params = spec.params
    return latent_bytes(spec) + 2 * params.depth * params.width * (1 if spec.text else params.tokens)


def check_texts(texts: int, tokens: int, width: int) -> None:
    """Raise `RequestError` for more prompts than there is memory for, of features that wide for each of their tokens."""
    _check(texts * tokens * width * 2, memory(), f"the features of {texts} prompts", "fewer prompts at a time")


def memory() -> float:
    """The bytes that this process may use at most: the machine's, or fewer where a limit is set; infinite where nobody tells."""
    limits: list[float] = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # each is of some systems only
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        limits.append(int(CGROUP.read_text(encoding="ascii")))  # "max" is no limit
    with contextlib.suppress(ImportError):
        import resource

        limits.append(resource.getrlimit(resource.RLIMIT_AS)[0])
    return min(limit for limit in limits if limit > 0)  # no limit is -1


def _check(needed: int, there: float, what: str, less: str) -> None:
    if needed > there:
        sizes = f"at least {needed / 2**30:,.1f} GiB of memory, and there are {there / 2**30:,.1f}"
        raise RequestError(f"{what} take {sizes}; use {less}")
