"""How far a number would move with other samples: the percentile bootstrap (Efron 1979).

Shapes: N samples, R resamples.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from ditkit.errors import ConfigError, DataError

RESAMPLES = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """A confidence interval, in the unit of the number it belongs to."""

    low: float
    high: float


def draws(count: int, resamples: int, seed: int) -> Iterator[Tensor]:
    """`resamples` times the indices (N,) of `count` samples drawn with replacement; the same for the same seed."""
    if resamples < 2:
        raise ConfigError(f"{resamples} resamples make no interval; take at least 2, better {RESAMPLES}")
    if count < 2:
        raise DataError(f"an interval needs at least 2 samples to draw from, here is {count}")
    generator = torch.Generator().manual_seed(seed)
    for _ in range(resamples):
        yield torch.randint(count, (count,), generator=generator)


def percentiles(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The interval that holds the middle `level` of the values, interpolated linearly between them."""
    tail = (1 - level) / 2
    low, high = torch.quantile(torch.tensor(values, dtype=torch.float64), torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(low, high)


def recentred(values: Sequence[float], estimate: float, level: float = LEVEL) -> Interval:
    """The percentile interval moved so that the mean of the resampled values comes to lie on `estimate`, that of the whole set.

    For numbers that repeated samples push to one side, such as a Fréchet distance: their plain percentiles need not even hold the
    estimate. What it says is how the number varies at this many samples; the number's own bias at so many it leaves in.
    """
    low, high = percentiles(values, level)
    shift = estimate - sum(values) / len(values)
    return Interval(low + shift, high + shift)


def interval(statistic: Callable[[Tensor], float], count: int, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """The percentile interval of `statistic(indices)`, which is computed on each resample of `count` samples.

    Raises `ConfigError` for fewer than 2 resamples and `DataError` for fewer than 2 samples.
    """
    return percentiles([statistic(drawn) for drawn in draws(count, resamples, seed)], level)


def mean_interval(values_N: Tensor, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """The percentile interval of a plain mean."""
    values = values_N.double().cpu()
    return interval(lambda drawn: float(values[drawn].mean()), len(values), resamples, seed, level)


def paired_interval(a_N: Tensor, b_N: Tensor, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """The percentile interval of mean(a - b) for two measurements of each sample; it leaves zero out where they differ clearly.

    Pairs stay together, so what varies between samples but not between the measurements cancels.
    Raises `DataError` if the two are not of the same samples.
    """
    if a_N.shape != b_N.shape:
        raise DataError(f"{len(a_N)} values against {len(b_N)}; a paired interval compares two measurements of the same samples")
    return mean_interval(a_N.double() - b_N.double(), resamples, seed, level)


def of_blocks(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's interval of the mean over independent blocks, such as runs with other seeds: too few to resample.

    Raises `DataError` for fewer than 2.
    """
    if len(values) < 2:
        raise DataError(f"an interval over blocks needs at least 2 of them, here is {len(values)}")
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(student.ppf((1 + level) / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return Interval(mean - reach, mean + reach)
