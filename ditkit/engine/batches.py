"""Batches on their way: begun on the device, decoded beside the next one, brought home; halved where they do not fit in memory."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.transfers import Finished, Side
from ditkit.errors import is_out_of_memory
from ditkit.models.aspect_bins import resize_and_crop

Draw = Callable[[Sequence[int]], Tensor]
"""Makes the latents of some samples of a request."""


@dataclass(frozen=True)
class _Begun:
    """A batch that is on the device, or home already."""

    indices: tuple[int, ...]
    wait: Callable[[], Finished]
    started: float


class Batches:
    """Those of a request, each begun before the one before is home if there is `overlap` and the device gains by it."""

    def __init__(self, model: Model, request: SamplingRequest, draw: Draw, *, overlap: bool) -> None:
        self._model, self._request, self._draw = model, request, draw
        self._side = Side(model.device)
        self._ahead = self._side.ahead if overlap else 0
        self._waiting: deque[_Begun] = deque()
        self._home = 0.0  # when the last one was

    def through(self, batches: Iterable[Sequence[int]]) -> Iterator[SampleBatch]:
        """Each batch of samples as it is home, in order."""
        for batch in batches:
            indices = tuple(batch)
            begun = self._begun(indices)
            if begun is None and self._waiting:  # which may hold the memory that is missing
                yield from self._drained(0)
                begun = self._begun(indices)
            if begun is None:
                yield self._halves(indices)
                continue
            self._waiting.append(begun)
            yield from self._drained(self._ahead)
        yield from self._drained(0)

    def _drained(self, left: int) -> Iterator[SampleBatch]:
        while len(self._waiting) > left:
            yield self._finished(self._waiting.popleft())

    def _begun(self, indices: tuple[int, ...]) -> _Begun | None:
        """The batch on the device; None where there is no room for it."""
        started = time.perf_counter()
        try:
            return _Begun(indices, self._side.start(self._draw(indices), self._decoded), started)
        except RuntimeError as error:
            if not is_out_of_memory(error) or (len(indices) == 1 and not self._waiting):
                raise
        return None  # outside `except`, so that the failed attempt's tensors are gone

    def _decoded(self, latents: Tensor) -> Tensor:
        pictures = self._model.codec.decode(latents)
        return resize_and_crop(pictures, *self._request.picture) if self._request.picture else pictures

    def _finished(self, begun: _Begun) -> SampleBatch:
        latents, pictures = begun.wait()
        since, self._home = max(begun.started, self._home), time.perf_counter()
        return SampleBatch(begun.indices, latents, pictures, self._home - since)

    def _halves(self, indices: tuple[int, ...]) -> SampleBatch:
        """A batch that does not fit, in halves that do, one after the other."""
        started, half = time.perf_counter(), len(indices) // 2
        parts = [self._finished(begun) if (begun := self._begun(part)) else self._halves(part) for part in (indices[:half], indices[half:])]
        return SampleBatch(
            indices,
            torch.cat([part.latents for part in parts]),
            torch.cat([part.pictures for part in parts]),
            time.perf_counter() - started,
            1 + max(part.halved for part in parts),
        )
