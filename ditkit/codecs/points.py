"""The codec of models that denoise point clouds: one shift and one scale for all of them, those of the training data.

Shapes: B clouds, P points; latents and batches of clouds have their points last.
"""

import json
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

MEAN, SCALE = "cloud_mean", "cloud_scale"  # in the words that a safetensors file carries

FARTHEST = 6.0  # deviations of the training data from their mean that a shape may reach
SMALLEST = 0.05  # deviation of a part of a shape, in those of the training data


class Points(nn.Module):
    """A latent is (cloud - mean) / scale, exactly; DiT-3D normalises by one mean and one deviation of its whole training set."""

    def __init__(self, mean: tuple[float, ...] = (0.0, 0.0, 0.0), scale: float = 1.0) -> None:
        super().__init__()
        self.mean, self.scale = mean, scale

    @classmethod
    def told_by(cls, words: Mapping[str, str]) -> "Points":
        """That of a file's metadata; it changes nothing if they do not tell."""
        return cls(tuple(json.loads(words[MEAN])), json.loads(words[SCALE])) if MEAN in words and SCALE in words else cls()

    @classmethod
    def around(cls, cloud_P3: Tensor) -> "Points":
        """That by which this one cloud has its centre at 0 and a standard deviation of 1; it needs points at more than one place."""
        mean = cloud_P3.double().mean(0)
        return cls(tuple(mean.tolist()), float((cloud_P3 - mean).square().mean().sqrt()))

    def takes(self, cloud_P3: Tensor) -> bool:
        """Whether the cloud may be in the coordinates of the training data: no point beyond them, and not all of it in a speck of them."""
        latent_P3 = (cloud_P3.double() - torch.tensor(self.mean, dtype=torch.float64)) / self.scale
        return float(latent_P3.abs().max()) <= FARTHEST and float((latent_P3 - latent_P3.mean(0)).square().mean().sqrt()) >= SMALLEST

    def words(self) -> dict[str, str]:
        """What `told_by` reads."""
        return {MEAN: json.dumps(self.mean), SCALE: json.dumps(self.scale)}

    def encode(self, clouds_B3P: Tensor) -> tuple[Tensor, Tensor]:
        return (clouds_B3P - self._shift(clouds_B3P)) / self.scale, torch.full_like(clouds_B3P, -math.inf)

    def decode(self, latents_B3P: Tensor) -> Tensor:
        return latents_B3P * self.scale + self._shift(latents_B3P)

    def _shift(self, like_B3P: Tensor) -> Tensor:
        return like_B3P.new_tensor(self.mean)[:, None]
