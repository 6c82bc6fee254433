"""Where the numbers of a run stopped being finite: half precision ends at 65504, bfloat16 has three digits.

What is not a number stays none through every step that follows, so finished samples tell whether it happened, and the loop looks at
nothing. Only where it did, the batch is run again under a watch that may wait for the device.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ditkit.engine.adaptive import adaptive_latents
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.trajectory import states
from ditkit.errors import RequestError
from ditkit.execution import Execution, Site

FINER = {torch.float16: "bfloat16 or runtime.precision=float32", torch.bfloat16: "float32"}


@dataclass(frozen=True)
class Fault:
    """The first evaluation, and the first branch in it, whose output was not finite.

    No branch: what follows the blocks made it so; no evaluation: the decoder did, or it did not happen again in plain sampling.
    """

    evaluation: int | None = None
    site: Site | None = None
    decoder: bool = False

    def __str__(self) -> str:
        if self.evaluation is None:
            return "in the decoder of the latents" if self.decoder else "in the network"
        where = "after the last block" if self.site is None else f"in block {self.site.block} ({self.site.branch})"
        return f"in evaluation {self.evaluation + 1}, {where}"


class _Found(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def first_fault(model: Model, request: SamplingRequest, batch: SampleBatch) -> Fault:
    """Run what is not finite of a batch of the request once more, as far as it is, and say where it stopped being so."""
    if bool(batch.latents.isfinite().all()):
        return Fault(decoder=True)
    if batch.latents.ndim == 4:  # pictures of one request may differ in shape
        model = replace(model, spec=replace(model.spec, shape=(batch.latents.shape[2], batch.latents.shape[3])))
    return fault_again(model, request, batch.spoiled[:1] if batch.halved else batch.spoiled)  # what did not fit would not again


def fault_again(model: Model, request: SamplingRequest, indices: Sequence[int]) -> Fault:
    """Run these samples as far as they are finite."""
    at = 0

    def watch(evaluation: int, execution: Execution) -> Execution:
        nonlocal at
        at = evaluation

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            output = execution.branch(site, compute)
            if not bool(output.isfinite().all()):
                raise _Found(Fault(evaluation, site))
            return output

        return Execution(branch, execution.attend)

    try:
        adaptive = not request.solver.times
        for x in [adaptive_latents(model, request, indices, watch=watch)] if adaptive else states(model, request, indices, watch=watch):
            if not bool(x.isfinite().all()):
                return Fault(at)
    except _Found as found:
        return found.fault
    return Fault()


def said(fault: Fault, dtype: torch.dtype, guidance: float) -> str:
    """Where it happened and what to do about it."""
    finer = FINER.get(dtype)
    way = f"use runtime.precision={finer}" if finer else f"their weights, or a guidance of {guidance:g}, are too large for it"
    return f"stopped being finite in {str(dtype).removeprefix('torch.')}, first {fault}: {way}"


def check_trajectories(model: Model, request: SamplingRequest, batch: Sequence[int], ends: Tensor) -> None:
    """Raise `RequestError` unless these samples ended finite: nothing can be learned or measured on others."""
    if not bool(ends.isfinite().all()):
        where = said(fault_again(model, request, batch), model.dtype, request.guidance)
        raise RequestError(f"the numbers of the model's own trajectories {where}")


def checked(model: Model, request: SamplingRequest, batches: Iterable[SampleBatch]) -> Iterator[SampleBatch]:
    """The batches of a request as they come; at the end raises `RequestError` if no sample is finite, and warns if some are not."""
    spoiled, fault = 0, None
    for batch in batches:
        if here := batch.spoiled:
            spoiled, fault = spoiled + len(here), fault or first_fault(model, request, batch)
        yield batch
    if fault is None:
        return
    line = f"the numbers of {spoiled} of {len(request.seeds)} samples {said(fault, model.dtype, request.guidance)}"
    if spoiled == len(request.seeds):
        raise RequestError(line)
    warnings.warn(line, stacklevel=2)
