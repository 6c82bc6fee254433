"""What a network says about a noisy sample, and what that means for the clean sample, the noise, the velocity and the score."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.limit import Limit

Kind = Literal["epsilon", "v", "sample", "score", "velocity", "reversed velocity"]


@dataclass(frozen=True)
class Prediction:
    """A network output for x = alpha * x0 + sigma * noise; every other meaning follows from these two equations and the level.

    * epsilon: the noise
    * sample: x0, the clean sample
    * v: alpha * noise - sigma * x0 (Salimans & Ho 2022); both shares divided by their length, where alpha^2 + sigma^2 is not 1
    * score: the gradient of the log density, -noise / sigma (Song et al. 2021)
    * velocity: dx/dt of flow time, alpha' x0 + sigma' noise (Ma et al. 2024); reversed: towards the noise

    `variance`, if the network learns one, is -1 for the smallest and 1 for the largest sensible variance of an ancestral step. `limit` is
    what clean samples are kept within, and they alone: the noise stays that of the network. The conversions compute in the precision of x.
    """

    value: Tensor
    kind: Kind = "epsilon"
    variance: Tensor | None = None
    limit: Limit | None = None

    def to_x0(self, x: Tensor, level: Level) -> Tensor:
        x0 = self._x0(x, level)
        return self.limit.keep(x0) if self.limit else x0

    def _x0(self, x: Tensor, level: Level) -> Tensor:
        value, (alpha, sigma, d_alpha, d_sigma) = self.value.to(x.dtype), level
        match self.kind:
            case "epsilon":
                return (x - sigma * value) / alpha
            case "v":
                length = math.hypot(alpha, sigma)
                return (alpha / length**2) * x - (sigma / length) * value
            case "sample":
                return value
            case "score":
                return (x + sigma**2 * value) / alpha
            case "velocity" | "reversed velocity":
                ahead = value if self.kind == "velocity" else -value
                scale = 1 / (alpha * d_sigma - d_alpha * sigma)
                return (scale * d_sigma) * x - (scale * sigma) * ahead

    def to_epsilon(self, x: Tensor, level: Level) -> Tensor:
        value, (alpha, sigma, d_alpha, d_sigma) = self.value.to(x.dtype), level
        match self.kind:
            case "epsilon":
                return value
            case "v":
                length = math.hypot(alpha, sigma)
                return (sigma / length**2) * x + (alpha / length) * value
            case "sample":
                return (x - alpha * value) / sigma
            case "score":
                return -sigma * value
            case "velocity" | "reversed velocity":
                ahead = value if self.kind == "velocity" else -value
                scale = 1 / (alpha * d_sigma - d_alpha * sigma)
                return (scale * alpha) * ahead - (scale * d_alpha) * x

    def to_v(self, x: Tensor, level: Level) -> Tensor:
        """(alpha * noise - sigma * x0) / length, whatever the limit."""
        length = math.hypot(level.alpha, level.sigma)
        return (level.alpha / length) * self.to_epsilon(x, level) - (level.sigma / length) * self._x0(x, level)

    def to_velocity(self, x: Tensor, level: Level) -> Tensor:
        """dx/dt along the probability-flow ODE in flow time, towards the data."""
        value = self.value.to(x.dtype)
        match self.kind:
            case "velocity":
                return value
            case "reversed velocity":
                return -value
            case "sample":  # (alpha' - alpha sigma'/sigma) x0 + sigma'/sigma x
                ratio = level.d_sigma / level.sigma
                return (level.d_alpha - level.alpha * ratio) * value + ratio * x
            case _:  # (sigma' - sigma alpha'/alpha) noise + alpha'/alpha x
                ratio = level.d_alpha / level.alpha
                return (level.d_sigma - level.sigma * ratio) * self.to_epsilon(x, level) + ratio * x

    def to_score(self, x: Tensor, level: Level) -> Tensor:
        if self.kind == "score":
            return self.value.to(x.dtype)
        return self.to_epsilon(x, level) / -level.sigma


@dataclass(frozen=True)
class Reading:
    """How the output of a network is read: what it says, whether with a variance beside it, and what limits its clean samples."""

    kind: Kind = "epsilon"
    variance: bool = False
    limit: Limit | None = None

    def of(self, output: Tensor) -> Prediction:
        """The prediction in an output (B, C, ...), or, with a variance, in the two halves of (B, 2C, ...)."""
        value, variance = output.chunk(2, dim=1) if self.variance else (output, None)
        return Prediction(value, self.kind, variance, self.limit)

    def as_v(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        """The output (B, C, ...) of a network that says v where this one says something else; a variance stays beside it."""
        said = replace(self, limit=None).of(output)
        v = said.to_v(x, level)
        return v if said.variance is None else torch.cat([v, said.variance.to(v.dtype)], dim=1)
