"""What a denoising network is trained on: the noise, and with a learned range also its variance.

Shapes: B batch, then any sample shape.
"""

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ditkit.diffusion.schedule import NoiseSchedule


class Objective(Protocol):
    """What a denoising network learns at a place (B,) of its schedule, an index or a time."""

    def draw(self, share_B: Tensor, /) -> Tensor:
        """The places below which these shares, in [0, 1), of all draws lie; on the CPU."""
        ...

    def noisy(self, x0: Tensor, noise: Tensor, at_B: Tensor, /) -> Tensor: ...

    def times(self, at_B: Tensor, /) -> Tensor: ...

    def loss(self, out: Tensor, x0: Tensor, noise: Tensor, at_B: Tensor, /) -> tuple[Tensor, Tensor]:
        """The loss of each sample (B,), and its squared error as people compare it."""
        ...


class DenoisingObjective:
    """Mean-squared error of the predicted noise (Ho et al. 2020) plus, for a learned range, the variational bound of the
    variance with the mean held fixed (Nichol & Dhariwal 2021, L_hybrid with lambda = 1 / T per step).

    `min_snr` weighs the squared error by min(SNR, min_snr) / SNR, so that the nearly clean levels, whose noise is hard to see,
    do not drown the others (Hang et al. 2023, gamma = 5); 0 is the published, unweighted loss. `noisy_weight` is the other end: the
    noise of level t is easy to see, its error about abar_t, and min(1 / abar_t, noisy_weight) makes it count like the others.

    `start` leaves out the levels above that share of the schedule, for a network that is sampled from there. `by_weight` draws every
    level as often as it weighs in place of weighing it: the same gradient in the mean, and no picture spent on what hardly counts.

    Each method works per sample on integer levels `index` (B,), cleanest first.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        device: torch.device | None = None,
        min_snr: float = 0.0,
        noisy_weight: float = 1.0,
        *,
        start: float = 1.0,
        by_weight: bool = False,
    ) -> None:
        tables = schedule.respaced("")
        self.first_time = schedule.first_time
        self.levels = schedule.steps
        self._alpha = _column(np.sqrt(tables.abar), device)
        self._sigma = _column(np.sqrt(1 - tables.abar), device)
        snr = tables.abar / (1 - tables.abar)
        clean = np.minimum(snr, min_snr) / snr if min_snr else np.ones_like(snr)
        weight = (clean * np.minimum(1 / tables.abar, noisy_weight))[: max(1, round(start * self.levels))]
        drawn = weight if by_weight else np.ones_like(weight)
        self._drawn = torch.from_numpy(np.cumsum(drawn) / drawn.sum())
        self._weight = _column(np.full_like(weight, weight.mean()) if by_weight else weight, device)
        self._mean_x0 = _column(tables.posterior_mean_x0, device)
        self._log_small = _column(tables.posterior_log_variance, device)
        self._log_large = _column(np.log(tables.betas), device)

    def draw(self, share_B: Tensor) -> Tensor:
        """The levels (B,) below which these shares, in [0, 1), of all draws lie; on the CPU."""
        return torch.searchsorted(self._drawn, share_B.double(), right=True).clamp_(max=len(self._drawn) - 1)

    def noisy(self, x0: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """x_t = alpha x0 + sigma noise."""
        return _at(self._alpha, index, x0) * x0 + _at(self._sigma, index, x0) * noise

    def times(self, index: Tensor) -> Tensor:
        """What the network is told of these levels."""
        return index + self.first_time

    def loss(self, out: Tensor, x0: Tensor, noise: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each sample (B,), and the squared error of its noise; `out` (B, 2C, ...) with a learned range, else (B, C, ...)."""
        out = out.float()
        channels = noise.shape[1]
        epsilon = out[:, :channels]
        squared = (epsilon - noise).square().flatten(1).mean(1)
        loss = self._weight[index] * squared
        if out.shape[1] == channels:
            return loss, squared
        return loss + self._variance_bound(epsilon.detach(), noise, out[:, channels:], index), squared

    def _variance_bound(self, epsilon: Tensor, noise: Tensor, interpolation: Tensor, index: Tensor) -> Tensor:
        """KL(q(x_prev | x, x0) || p(x_prev | x)) in bits per dimension, mean held fixed."""
        small, large = _at(self._log_small, index, noise), _at(self._log_large, index, noise)
        fraction = (interpolation + 1) / 2
        log_variance = fraction * large + (1 - fraction) * small
        ratio = _at(self._sigma, index, noise) / _at(self._alpha, index, noise)  # d x0 / d epsilon
        gap = _at(self._mean_x0, index, noise) * ratio * (epsilon - noise)
        bound = 0.5 * (log_variance - small + torch.exp(small - log_variance) + gap.square() * torch.exp(-log_variance) - 1)
        return bound.flatten(1).mean(1) / math.log(2)


def _column(values: np.ndarray, device: torch.device | None) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


def _at(table: Tensor, index: Tensor, like: Tensor) -> Tensor:
    return table[index].reshape(-1, *[1] * (like.dim() - 1))
