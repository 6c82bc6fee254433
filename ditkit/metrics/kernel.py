"""The kernel distance between two sets of features, KID on Inception features (Bińkowski et al. 2018, arXiv 1801.01401).

It is the squared maximum mean discrepancy under a cubic kernel, whose estimate is unbiased at any number of samples; it may be negative.
Everything is float64.

Shapes: N generated, M reference samples, D feature dimensions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ditkit.errors import ConfigError
from ditkit.metrics.checks import check_same_dimensions, checked

SUBSETS, SUBSET_SIZE = 100, 1000  # as published figures are computed


class KernelDistance(NamedTuple):
    """The mean over subsets and their standard deviation, which is that of one subset and not of the mean."""

    distance: float
    deviation: float


def polynomial_kernel(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """(x . y / D + 1)^3 for all pairs (N, M)."""
    return (x_ND @ y_MD.T / x_ND.shape[1] + 1) ** 3


def unbiased_mmd(x_ND: Tensor, y_MD: Tensor) -> float:
    """The unbiased estimate of MMD^2, which leaves out a sample's kernel with itself (Gretton et al. 2012, eq. 3).

    Raises `DataError` for different dimensions, fewer than two samples on a side, or NaN.
    """
    x_ND, y_MD = checked(x_ND, least=2).double(), checked(y_MD, least=2).double()
    check_same_dimensions(x_ND.shape[1], y_MD.shape[1])
    within = _mean_of_pairs(polynomial_kernel(x_ND, x_ND)) + _mean_of_pairs(polynomial_kernel(y_MD, y_MD))
    return float(within - 2 * polynomial_kernel(x_ND, y_MD).mean())


def kernel_distance(
    generated_ND: Tensor, reference_MD: Tensor, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, seed: int = 0
) -> KernelDistance:
    """The mean of `unbiased_mmd` over random subsets, drawn from either set without replacement.

    Raises `ConfigError` if a subset is larger than a set or smaller than 2, and `DataError` as `unbiased_mmd` does.
    """
    checked(generated_ND, least=2)
    checked(reference_MD, least=2)
    fewest = min(len(generated_ND), len(reference_MD))
    if not 2 <= subset_size <= fewest or subsets < 1:
        raise ConfigError(
            f"{subsets} subsets of {subset_size} samples; take at least 1, of 2 to {fewest} samples, the smaller set's number"
        )
    generator = torch.Generator().manual_seed(seed)

    def draw(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:subset_size]]

    values = torch.tensor([unbiased_mmd(draw(generated_ND), draw(reference_MD)) for _ in range(subsets)], dtype=torch.float64)
    return KernelDistance(float(values.mean()), float(values.std(correction=0)))


def _mean_of_pairs(kernel_NN: Tensor) -> Tensor:
    """The mean over pairs of different samples."""
    count = len(kernel_NN)
    return (kernel_NN.sum() - kernel_NN.trace()) / (count * (count - 1))
