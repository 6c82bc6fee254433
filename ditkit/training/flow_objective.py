"""What a flow is trained on: velocity, noise, clean sample or score, with SiT's weightings (Ma et al. 2024, arXiv 2401.08740).

Shapes: B batch, then any sample shape.
"""

from typing import Literal

import torch
from torch import Tensor

from ditkit.diffusion.flow import FlowPath
from ditkit.diffusion.prediction import Kind
from ditkit.errors import ConfigError

Weighting = Literal["none", "velocity", "likelihood"]
VP_EDGE = 1e-5  # of the clean end that training leaves out, as published


class FlowObjective:
    """Mean-squared error of what the network predicts at a time of the path.

    The error of the noise, which a score is when multiplied by -sigma, can be weighed: by (g / sigma)^2 as if it were the velocity's, or
    by g / sigma^2, the likelihood's; g is half of the squared diffusion of the path's forward process. Times are uniform, or with
    `deviation` logistic of a normal variable (Esser et al. 2024, section 3.1): more of them in the middle, at `mean` > 0 noisier ones.

    Each method works per sample on places of the path, which are made on the host once for all.
    """

    def __init__(
        self,
        path: FlowPath,
        kind: Kind,
        weighting: Weighting = "none",
        mean: float = 0.0,
        deviation: float = 0.0,
    ) -> None:
        if weighting != "none" and kind not in ("epsilon", "score"):
            raise ConfigError(f"a weighting is for a network that predicts noise; leave out flow.weighting to train a {kind}")
        self.path = path.of(kind, VP_EDGE if path.name == "vp" else None)
        self.kind: Kind = kind
        self.weighting, self.mean, self.deviation = weighting, mean, deviation

    def draw(self, share_B: Tensor) -> Tensor:
        """The places below which these shares, in [0, 1), of all draws lie; on the CPU."""
        return self.at(self.times_of(share_B))

    def times_of(self, share_B: Tensor) -> Tensor:
        """Continuous times (B,), float64, of the same shares."""
        level = share_B.double()
        if self.deviation:
            level = torch.sigmoid(self.mean + self.deviation * torch.special.ndtri(level.clamp(1e-6, 1 - 1e-6)))
        return self.path.cleanest + (self.path.noisiest - self.path.cleanest) * level

    def at(self, t_B: Tensor) -> Tensor:
        """Places (B, 5): model time, alpha, sigma and their rates; on the host, where the path is."""
        return torch.tensor([(self.path.network_time(t), *self.path.level_at(t)) for t in t_B.tolist()], dtype=torch.float32)

    def noisy(self, x0: Tensor, noise: Tensor, at_B5: Tensor) -> Tensor:
        """x_t = alpha x0 + sigma noise."""
        alpha, sigma, _, _ = _columns(at_B5, x0)
        return alpha * x0 + sigma * noise

    def times(self, at_B5: Tensor) -> Tensor:
        """What the network is told of these places."""
        return at_B5[:, 0]

    def loss(self, out: Tensor, x0: Tensor, noise: Tensor, at_B5: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each sample (B,), and its squared error without a weight."""
        alpha, sigma, d_alpha, d_sigma = _columns(at_B5, x0)
        velocity = d_alpha * x0 + d_sigma * noise
        targets: dict[Kind, Tensor] = {"velocity": velocity, "reversed velocity": -velocity, "epsilon": noise, "sample": x0}
        error = sigma * out.float() + noise if self.kind == "score" else out.float() - targets[self.kind]
        squared = error.square().flatten(1).mean(1)
        if self.weighting == "none":
            return squared, squared
        g = (sigma**2 * d_alpha / alpha - sigma * d_sigma).flatten()
        weight = (g / sigma.flatten()) ** 2 if self.weighting == "velocity" else g / sigma.flatten() ** 2
        return weight * squared, squared


def _columns(at_B5: Tensor, like: Tensor) -> tuple[Tensor, ...]:
    """Alpha, sigma and their rates, to multiply samples with."""
    return tuple(column.reshape(-1, *[1] * (like.dim() - 1)) for column in at_B5[:, 1:].unbind(1))
