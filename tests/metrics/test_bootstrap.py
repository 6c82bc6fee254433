"""Intervals against the normal theory they approach, and against each other."""

import math

import numpy as np
import pytest
import torch

from ditkit.errors import ConfigError, DataError
from ditkit.metrics.bootstrap import draws, interval, mean_interval, of_blocks, paired_interval, percentiles, recentred
from tests.closeness import near


def test_percentiles_are_those_of_numpy() -> None:
    values = torch.randn(101, generator=torch.Generator().manual_seed(0)).tolist()
    assert percentiles(values, 0.9) == near(tuple(np.percentile(values, [5, 95])))
    low, high = percentiles(values)
    assert low < percentiles(values, 0.5).low < percentiles(values, 0.5).high < high


def test_recentred_percentiles_keep_their_width() -> None:
    values = [3.0, 4.0, 5.0, 9.0]
    low, high = percentiles(values)
    assert recentred(values, 2.0) == near((low - 3.25, high - 3.25))


def test_draws_are_with_replacement_and_the_same_for_the_same_seed() -> None:
    first, again, other = (torch.stack(list(draws(50, 200, seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    distinct = sum(len(drawn.unique()) for drawn in first) / 200
    assert distinct == near(50 * (1 - (1 - 1 / 50) ** 50), within=0.5)


def test_the_interval_of_a_mean_is_the_normal_one_for_many_samples() -> None:
    values = torch.randn(4000, generator=torch.Generator().manual_seed(3)) * 2 + 5
    low, high = mean_interval(values, resamples=2000)
    half = 1.96 * float(values.std()) / math.sqrt(4000)
    assert (low, high) == near((float(values.mean()) - half, float(values.mean()) + half), within=0.05 * half)


def test_any_number_of_the_samples_has_an_interval() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    low, high = interval(lambda drawn: float(values[drawn].median()), 400, resamples=300)
    assert low < float(values.median()) < high
    assert interval(lambda drawn: float(values[drawn].mean()), 400) == mean_interval(values)


def test_pairs_see_a_difference_that_two_intervals_hide() -> None:
    generator = torch.Generator().manual_seed(5)
    sample = torch.randn(300, generator=generator)
    a = sample + 0.1 + 0.1 * torch.randn(300, generator=generator)
    low, high = paired_interval(a, sample)
    assert 0 < low < float((a - sample).mean()) < high
    assert mean_interval(a).low < mean_interval(sample).high


def test_what_cannot_be_drawn_from_is_refused() -> None:
    with pytest.raises(DataError, match="an interval needs at least 2 samples to draw from, here is 1"):
        mean_interval(torch.ones(1))
    with pytest.raises(DataError, match="3 values against 4; a paired interval compares two measurements of the same samples"):
        paired_interval(torch.ones(3), torch.ones(4))
    with pytest.raises(ConfigError, match="0 resamples make no interval; take at least 2, better 1000"):
        mean_interval(torch.ones(3), resamples=0)


def test_the_interval_over_blocks_is_students() -> None:
    low, high = of_blocks([1.0, 2.0, 3.0])
    assert (low, high) == near((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), within=0.5e-6)  # t of 2 degrees of freedom
    with pytest.raises(DataError, match="an interval over blocks needs at least 2 of them, here is 1"):
        of_blocks([1.0])
