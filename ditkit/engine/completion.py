"""Completing a point cloud: some of its points are given, and stay where they are.

Shapes: B samples, C coordinates, P points of a cloud, K < P given ones.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.solvers import Denoise


def anchored(denoise: Denoise, known_CK: Tensor, noise_BCP: Tensor, levels: Sequence[Level]) -> Denoise:
    """The denoiser, shown at every evaluation the given points as noisy as the others, in place of the first K of its cloud.

    They carry the same noise throughout, that which the run starts from, so that a deterministic solver sees one smooth path. What
    the solver makes of these points itself does not matter: no solver mixes points, and `restored` puts the given ones back.
    """
    known_BCK, noise_BCK = known_CK.expand(len(noise_BCP), -1, -1), noise_BCP[..., : known_CK.shape[-1]]

    def denoise_anchored(x: Tensor, evaluation: int) -> Prediction:
        level = levels[evaluation]
        return denoise(restored(x, level.alpha * known_BCK + level.sigma * noise_BCK), evaluation)

    return denoise_anchored


def restored(x_BCP: Tensor, known_BCK: Tensor) -> Tensor:
    """The clouds with these as their first points."""
    return torch.cat([known_BCK, x_BCP[..., known_BCK.shape[-1] :]], dim=-1)
