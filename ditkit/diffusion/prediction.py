"""What a network says about a noisy sample, and what that means for the clean sample and for the noise."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Kind = Literal["epsilon", "v", "sample"]


@dataclass(frozen=True)
class Prediction:
    """A network output: the noise, the clean sample or v = alpha * noise - sigma * x0 (Salimans & Ho 2022).

    `variance`, if the network learns one, is -1 for the smallest and 1 for the largest sensible variance of an ancestral step.
    The conversions compute in the precision of x, the noisy sample the network saw at x = alpha * x0 + sigma * noise.
    """

    value: Tensor
    kind: Kind = "epsilon"
    variance: Tensor | None = None

    def to_x0(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        value = self.value.to(x.dtype)
        match self.kind:
            case "epsilon":
                return (x - sigma * value) / alpha
            case "v":
                return alpha * x - sigma * value
            case "sample":
                return value

    def to_epsilon(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        value = self.value.to(x.dtype)
        match self.kind:
            case "epsilon":
                return value
            case "v":
                return sigma * x + alpha * value
            case "sample":
                return (x - alpha * value) / sigma


def split_learned_sigma(output: Tensor, kind: Kind = "epsilon") -> Prediction:
    """The two halves, along the channel axis 1, of the output (B, 2C, ...) of a network that learns its variance."""
    value, variance = output.chunk(2, dim=1)
    return Prediction(value, kind, variance)
