"""Classifier-free guidance (Ho & Salimans 2022) as one batched forward, and at which evaluations it applies."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.errors import RequestError


def combine(out_2B: Tensor, scale: float, guided_channels: int | None = None) -> Tensor:
    """Guide the output (2B, C, ...) for [cond; null] to null + scale * (cond - null), (B, C, ...).

    Only the first `guided_channels` are guided (None: all); the others stay those of the condition. DiT guides 3 of its 4 noise
    channels and no variance. Half-precision outputs are combined, and returned, in float32: the scale amplifies their rounding.
    """
    cond, null = out_2B.to(torch.promote_types(out_2B.dtype, torch.float32)).chunk(2)
    if guided_channels is None or guided_channels >= cond.shape[1]:
        return null + scale * (cond - null)
    some_cond, some_null = cond[:, :guided_channels], null[:, :guided_channels]
    return torch.cat([some_null + scale * (some_cond - some_null), cond[:, guided_channels:]], dim=1)


@dataclass(frozen=True)
class GuidanceInterval:
    """Guide only where the network time is within [low, high] (Kynkäänniemi et al. 2024); times run from 0, clean, to about 1000."""

    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise RequestError(f"guidance interval begins at {self.low:g} and ends before that, at {self.high:g}")

    def covers(self, times: Iterable[float]) -> tuple[bool, ...]:
        """For the network time of every evaluation, whether it is guided; ask before the loop."""
        return tuple(self.low <= time <= self.high for time in times)
