"""Gaussian noise that belongs to a sample, so that a result never depends on the batch it was in; and of a training step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class SampleNoise:
    """One stream of noise per sample, keyed by its seed. Drawing twice gives the same noise twice."""

    seeds: Sequence[int]

    def draw(self, count: int, shape: Sequence[int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
        """The first `count` tensors of every stream, (count, B, *shape), in one transfer to `device`.

        Draw once for a whole run: row 0 as the starting point, the rest for the solver's steps. Row i is the same for every count,
        and the numbers are drawn in float32 on the CPU, so they depend neither on `device` nor on `dtype` (but for rounding).
        """
        pinned = torch.device(device).type == "cuda"  # which then fetches it by itself
        noise = torch.empty(count, len(self.seeds), *shape, pin_memory=pinned)
        for column, seed in enumerate(self.seeds):
            generator = torch.Generator().manual_seed(seed)
            for row in range(count):  # one call each: how randn fills a tensor depends on the tensor's length
                torch.randn(*shape, generator=generator, out=noise[row, column])
        return noise.to(device, dtype, non_blocking=pinned)


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one training step."""
    state = np.random.SeedSequence((seed, step)).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))
