"""Several ways to sample the same pictures, in turns, so that whatever else the machine does falls on all alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ditkit.codecs.registry import load_codec
from ditkit.engine.denoiser import OnStep
from ditkit.engine.finite import first_fault, said
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.errors import RequestError

Sampler = Callable[[Model, SamplingRequest, OnStep | None], Iterator[SampleBatch]]
"""Yields the batches of a request as they are finished."""


def plainly(model: Model, request: SamplingRequest, on_step: OnStep | None = None) -> Iterator[SampleBatch]:
    """As `ditkit sample` does."""
    return sample(model, request, on_step=on_step)


@dataclass(frozen=True)
class Contender:
    """One way to sample; contenders of one `group` are variants of an idea, and with those that lead the others are compared."""

    name: str
    group: str
    model: Model
    request: SamplingRequest
    sampler: Sampler = plainly
    leads: bool = False


@dataclass(frozen=True)
class Outcome:
    """The latents of every batch that a contender made, and its seconds per image in every round that is timed, the last ones."""

    batches: tuple[Tensor, ...]
    seconds: tuple[float, ...]

    @property
    def latents(self) -> Tensor:
        """(N, ...) of all batches, if they are alike."""
        return torch.cat(self.batches)


def race(contenders: Sequence[Contender], on_step: OnStep | None = None) -> list[Outcome]:
    """Every contender samples the first batch, then every contender the second, and so on.

    Only the latents are timed, not their decoding; and not the first round, in which graphs are compiled and memory is
    allocated, unless there is no other.
    """
    runs = [each.sampler(replace(each.model, codec=load_codec("pixels")), each.request, on_step) for each in contenders]
    rounds = [_checked(contenders, batches) for batches in zip(*runs, strict=True)]
    timed = rounds[1:] or rounds
    return [
        Outcome(
            tuple(batches[place].latents for batches in rounds),
            tuple(batches[place].seconds / len(batches[place].indices) for batches in timed),
        )
        for place in range(len(contenders))
    ]


def _checked(contenders: Sequence[Contender], batches: tuple[SampleBatch, ...]) -> tuple[SampleBatch, ...]:
    """The same; raises `RequestError` if one of them is not finite: nothing could be compared with it."""
    for contender, batch in zip(contenders, batches, strict=True):
        if batch.spoiled:
            model, request = contender.model, contender.request
            where = said(first_fault(model, request, batch), model.dtype, request.guidance)
            raise RequestError(f"the numbers of {len(batch.spoiled)} samples of '{contender.name}' {where}")
    return batches
