"""SiT: DiT's network under a flow (Ma et al. 2024, arXiv 2401.08740), and the same trained with REPA (Yu et al. 2024, arXiv 2410.06940).

It predicts a velocity, is told a time in [0, 1], unscaled, and where its output has a second half, that was never trained and is dropped.
Parameter names are those of the published checkpoints, which are DiT's.

Shapes: B batch, C channels, H W latent, N any leading shape of conditioning.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ditkit.execution import NOISE_TIME, PLAIN, Execution
from ditkit.models.dit import DiT, DiTParams

BETA_MIN, BETA_MAX = 0.1, 20.0  # of DiT's noise levels in continuous time, per unit of it


def dit_time(t_N: Tensor) -> Tensor:
    """What a DiT was told (0 ... 999) where its sample held as much signal per noise as the linear path does at these model times.

    The root of the quadratic that log alpha = -log(1 + (sigma / alpha)^2) / 2 is in the continuous time of evenly rising betas.
    """
    u_N = (t_N / NOISE_TIME).clamp(0, 1 - 1e-6)
    log_alpha = -0.5 * torch.log1p((u_N / (1 - u_N)).square())
    a, b = (BETA_MAX - BETA_MIN) / 4, BETA_MIN / 2
    return (NOISE_TIME * -2 * log_alpha / (b + torch.sqrt(b**2 - 4 * a * log_alpha)) - 1).clamp(0, NOISE_TIME - 1)


CLOCKS: dict[str, Callable[[Tensor], Tensor]] = {
    "data": lambda t_N: 1 - t_N / NOISE_TIME,  # SiT's: 0 at noise, 1 at the data
    "noise": lambda t_N: t_N / NOISE_TIME,  # REPA's: 0 at the data, 1 at noise
    "levels": dit_time,  # of a flow that goes on from a DiT's weights
}
"""From model time to what a network was told in training."""


@dataclass(frozen=True)
class SiTParams(DiTParams):
    """A DiT's numbers, and the `clock` that the network was trained with; `learn_sigma`: its output has the half that is dropped.

    `qk_norm` normalises queries and keys, head by head.
    """

    clock: str = "data"
    qk_norm: bool = False


class SiT(DiT):
    """Predicts a velocity (B, C, H, W) in a latent (B, C, H, W)."""

    params: SiTParams

    def __init__(self, params: SiTParams) -> None:
        super().__init__(params)
        self.predicts_variance = False
        if params.qk_norm:
            for block in self._blocks():
                block.attn.q_norm, block.attn.k_norm = (nn.LayerNorm(params.width // params.heads) for _ in range(2))

    def condition(self, t_N: Tensor, y_N: Tensor) -> Tensor:
        """As DiT, from model times (1000, noise, to 0)."""
        return super().condition(CLOCKS[self.params.clock](t_N), y_N)

    def forward(self, x_BCHW: Tensor, conditioning: Tensor, execution: Execution = PLAIN) -> Tensor:
        return super().forward(x_BCHW, conditioning, execution)[:, : self.params.channels]
