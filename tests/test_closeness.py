"""The tolerances of all other tests: sums in any order are within them, mistakes are not."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.closeness import ANGLES, assert_close, cancelled, close, evaluated, near, of_squares, spread, summed, tolerance


@pytest.mark.parametrize("terms", [10, 1000, 100_000])
def test_a_sum_of_like_terms_is_close_in_whatever_order_it_is_taken(terms: int) -> None:
    x = np.random.default_rng(0).random((20, terms), dtype=np.float32)
    exact = x.sum(1, dtype=np.float64)
    for order in (x, x[:, ::-1], np.sort(x, 1)):
        one_by_one = np.cumsum(order, 1, dtype=np.float32)[:, -1]  # the worst that a machine could do
        assert_close(one_by_one, exact, summed(terms))


def test_what_is_larger_than_rounding_is_not_close() -> None:
    x = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert close(x * (1 + 2**-23), x)
    assert not close(x * (1 + 1e-4), x) and not close(x[:50], x)
    assert not close(torch.full_like(x, torch.nan), x)
    with pytest.raises(AssertionError, match=r"^up to 1 apart, 3\.11e-06 allowed to torch\.float32 of size 2$"):
        assert_close(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.0]))


def test_the_coarser_dtype_decides_and_lists_are_exact() -> None:
    third = torch.tensor([1 / 3], dtype=torch.float64)
    assert close(third.half(), third) and close(third, third.half()) and not close(third.half().double(), third)
    assert close([1 / 3], third) and not close(third.float().double(), third)


def test_every_number_can_be_measured_by_itself() -> None:
    expected = torch.tensor([1.0, 1e-6])
    off = expected + torch.tensor([0, 1e-9])
    assert close(off, expected) and not close(off, expected, each=True)
    assert close(torch.tensor([torch.inf, 1]), torch.tensor([torch.inf, 1]), size=1)


def test_guidance_steps_and_another_machine_make_a_network_less_exact() -> None:
    network = nn.Sequential(nn.Linear(48, 6), nn.Linear(6, 2))
    assert evaluated(network) == summed(54) == 24
    assert evaluated(network, 4) == 48
    assert evaluated(network, guidance=4.0) == 24 * 5
    assert evaluated(network, guidance=4.0, foreign=True) == 24 * 5 + ANGLES
    assert evaluated(network.to(torch.bfloat16)) == summed(2)


def test_what_cancels_is_measured_by_what_it_was() -> None:
    share = 1e-4
    kept = torch.tensor(share, dtype=torch.float64)
    assert_close(1 - (1 - kept).float(), kept.float(), cancelled(share))
    x, y = torch.randn(2, 400, generator=torch.Generator().manual_seed(0)).unbind()
    apart = (x.double() - (x + 0.01 * y).double()).square().mean()
    rounded = (x * (1 + 2**-23) - (x + 0.01 * y)).square().mean()
    assert_close(rounded, apart, size=of_squares(float(apart), float(x.abs().max()), 400))


def test_numbers_are_near_by_their_size_or_within_what_is_no_rounding() -> None:
    assert near(0.3) == 0.1 + 0.2 and near(0.3) != 0.30001
    assert float(torch.tensor(1 / 3)) == near(1 / 3, dtype=torch.float32)
    assert near([0, 1], size=1) == [1e-17, 1.0] and near(0) != 1e-17
    draws = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    assert float(draws.mean()) == near(0, within=spread(10_000)) and spread(10_000) == 0.05
    assert tolerance(2, 3, torch.float32) == 6 * 2**-23 and math.isclose(summed(6), 8)
