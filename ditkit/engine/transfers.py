"""To the device and back without waiting for it: what is sent lies in pinned memory, what comes back is fetched beside the next batch."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


def sent(value: Tensor, device: torch.device) -> Tensor:
    """The value on the device. A GPU fetches it from pinned memory in the order of its stream, and nobody waits for that."""
    if device.type != "cuda" or value.device.type != "cpu":
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)


class Finished(NamedTuple):
    """A batch on its way home: latents (B, C, h, w), and pictures (B, 3, H, W) in float32."""

    latents: Tensor
    pictures: Tensor


class Side:
    """What is done with finished latents beside the device's own work: on a GPU in a stream of its own, elsewhere at once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @property
    def ahead(self) -> int:
        """How many batches it makes sense to begin before one is home."""
        return 0 if self._stream is None else 1

    def start(self, latents: Tensor, decode: Callable[[Tensor], Tensor]) -> Callable[[], Finished]:
        """Begin to decode the latents and to bring both home; what is returned waits until they are there."""
        if self._stream is None:
            home = Finished(latents.cpu(), decode(latents).float().cpu())
            return lambda: home
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            home = Finished(_fetched(latents), _fetched(decode(latents).float()))
            there = self._stream.record_event()
        latents.record_stream(self._stream)  # its memory is not anybody else's before this stream is done with it

        def wait() -> Finished:
            there.synchronize()
            return home

        return wait


def _fetched(value: Tensor) -> Tensor:
    """On the CPU once the stream is so far."""
    return torch.empty(value.shape, dtype=value.dtype, pin_memory=True).copy_(value, non_blocking=True)
