"""The codec of models that denoise point clouds: one shift and one scale for all of them, those of the training data.

Shapes: B clouds, P points.
"""

import math

import torch
from torch import Tensor, nn


class Points(nn.Module):
    """A latent is (cloud - mean) / scale, exactly; DiT-3D normalises by one mean and one deviation of its whole training set."""

    def __init__(self, mean: tuple[float, ...] = (0.0, 0.0, 0.0), scale: float = 1.0) -> None:
        super().__init__()
        self.mean, self.scale = mean, scale

    def encode(self, clouds_B3P: Tensor) -> tuple[Tensor, Tensor]:
        return (clouds_B3P - self._shift(clouds_B3P)) / self.scale, torch.full_like(clouds_B3P, -math.inf)

    def decode(self, latents_B3P: Tensor) -> Tensor:
        return latents_B3P * self.scale + self._shift(latents_B3P)

    def _shift(self, like_B3P: Tensor) -> Tensor:
        return like_B3P.new_tensor(self.mean)[:, None]
