"""The Fréchet distance between two sets of features, each taken as a Gaussian (Heusel et al. 2017, arXiv 1706.08500, eq. 6).

On pooled Inception features it is FID; on their spatial features, flattened, it is sFID (Nash et al. 2021, arXiv 2103.03841).
Everything is float64.

Shapes: N samples, D feature dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Self

import torch
from torch import Tensor

from ditkit.errors import DataError
from ditkit.metrics.bootstrap import LEVEL, RESAMPLES, Interval, draws, recentred
from ditkit.metrics.checks import check_same_dimensions, checked

BLOCK = 4096  # samples held in float64 at once


@dataclass(frozen=True)
class Moments:
    """Count, mean (D,) and scatter (D, D) of samples, the sum of (x - mean)(x - mean)^T; sets too large for memory merge into one."""

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def from_features(cls, features_ND: Tensor) -> Self:
        """The moments of features of any dtype, a block of samples at a time; raises `DataError` if they are NaN or none."""
        return reduce(cls.merge, map(cls._of_block, checked(features_ND).split(BLOCK)))

    @classmethod
    def _of_block(cls, features_ND: Tensor) -> Self:
        x_ND = features_ND.double()
        mean = x_ND.mean(0)
        centred = x_ND - mean
        return cls(len(x_ND), mean, centred.T @ centred)

    def merge(self, other: Self) -> Self:
        """The moments of both sets together, exactly (Chan, Golub & LeVeque 1979, eq. 2.1)."""
        check_same_dimensions(self.dimensions, other.dimensions)
        count = self.count + other.count
        between = other.mean - self.mean
        mean = self.mean + between * (other.count / count)
        scatter = self.scatter + other.scatter + between.outer(between) * (self.count * other.count / count)
        return type(self)(count, mean, scatter)

    @property
    def dimensions(self) -> int:
        return len(self.mean)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (D, D), divided by N - 1; raises `DataError` for a single sample."""
        if self.count < 2:
            raise DataError(f"a covariance needs at least 2 samples, here is {self.count}")
        return self.scatter / (self.count - 1)


def few_samples(moments: Moments) -> str | None:
    """What to tell a reader where the covariance cannot have full rank, and the distance is biased upwards; else None."""
    if moments.count > moments.dimensions:
        return None
    return (
        f"{moments.count} samples for {moments.dimensions} feature dimensions: the covariance is singular and the Fréchet distance "
        f"too large; take at least {moments.dimensions + 1} samples"
    )


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), in squared units of the features.

    The product is symmetric, so its eigenvalues are real and the trace of its root is the sum of theirs.
    Raises `DataError` for different dimensions or a single sample.
    """
    check_same_dimensions(a.dimensions, b.dimensions)
    return _distance(a, b, _root(b.covariance))


def frechet_interval(features_ND: Tensor, reference: Moments, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """How far the distance moves with other samples, as many; only the generated features are resampled, the reference stands.

    A resample repeats some samples and so lies farther off than the set it is drawn from; the percentiles are moved back by the
    mean of that (`recentred`). Needs memory for a few D x D matrices, or N x N where there are no more samples than dimensions.
    Raises `DataError` as `frechet_distance` does, and `ConfigError` for fewer than 2 resamples.
    """
    checked(features_ND, least=2)
    check_same_dimensions(features_ND.shape[1], reference.dimensions)
    count = len(features_ND)
    resampled = _resampled_by_products if count <= reference.dimensions else _resampled_by_moments
    distance = resampled(features_ND, reference, _root(reference.covariance))
    moved = recentred([distance(drawn) for drawn in draws(count, resamples, seed)], distance(torch.arange(count)), level)
    return Interval(max(moved.low, 0.0), max(moved.high, 0.0))  # no distance is less than nothing


def _resampled_by_moments(features_ND: Tensor, reference: Moments, root_DD: Tensor) -> Callable[[Tensor], float]:
    """The distance of a resample, from its own moments."""

    def distance(drawn_N: Tensor) -> float:
        blocks = (Moments.from_features(features_ND[part]) for part in drawn_N.split(BLOCK))
        return _distance(reduce(Moments.merge, blocks), reference, root_DD)

    return distance


def _resampled_by_products(features_ND: Tensor, reference: Moments, root_DD: Tensor) -> Callable[[Tensor], float]:
    """The same from inner products of samples, computed once: Y Y^T has the eigenvalues of Y^T Y that are not zero."""
    x_ND = features_ND.double() - reference.mean
    y_ND = x_ND @ root_DD
    x_NN, y_NN = x_ND @ x_ND.T, y_ND @ y_ND.T
    trace = reference.covariance.trace()

    def distance(drawn_N: Tensor) -> float:
        count = len(drawn_N)
        products_NN = y_NN[drawn_N][:, drawn_N]
        rows_N = products_NN.mean(1)
        centred_NN = products_NN - rows_N - rows_N[:, None] + rows_N.mean()
        means = x_NN[drawn_N][:, drawn_N].mean()
        own_trace = (x_NN.diagonal()[drawn_N].sum() - count * means) / (count - 1)
        return _not_negative(means + own_trace + trace - 2 * _trace_of_root(centred_NN / (count - 1)))

    return distance


def _distance(a: Moments, b: Moments, root_of_b_DD: Tensor) -> float:
    covariance_DD = a.covariance
    traces = covariance_DD.trace() + b.covariance.trace()
    return _not_negative((a.mean - b.mean).square().sum() + traces - 2 * _trace_of_root(root_of_b_DD @ covariance_DD @ root_of_b_DD))


def _not_negative(distance: Tensor) -> float:
    """Of a set to itself rounding can make it a little less than nothing."""
    return max(float(distance), 0.0)


def _root(covariance_DD: Tensor) -> Tensor:
    """The symmetric square root; what rounding made negative counts as zero."""
    values, vectors = torch.linalg.eigh(covariance_DD)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _trace_of_root(symmetric_DD: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(symmetric_DD).clamp(min=0).sqrt().sum()
