"""KID against sums written out, and against what an unbiased estimate promises."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ditkit.errors import ConfigError, DataError
from ditkit.metrics.kernel import kernel_distance, polynomial_kernel, unbiased_mmd
from tests.closeness import near, summed

KERNEL = 100.0  # what its largest values are about, which cancel


def features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)) + shift


def numpy_mmd(x: Tensor, y: Tensor) -> float:
    """The definition, a sum over pairs."""
    a, b = x.double().numpy(), y.double().numpy()
    kernel = lambda u, v: (u @ v / len(u) + 1) ** 3  # noqa: E731
    xx = np.mean([kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j])
    yy = np.mean([kernel(b[i], b[j]) for i in range(len(b)) for j in range(len(b)) if i != j])
    return float(xx + yy - 2 * np.mean([kernel(u, v) for u in a for v in b]))


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_it_is_the_sum_over_pairs_of_the_definition(shift: float) -> None:
    x, y = features(20, seed=0), features(31, seed=1, shift=shift)
    assert unbiased_mmd(x, y) == near(numpy_mmd(x, y), summed(20 * 31), size=KERNEL)
    assert polynomial_kernel(x, y)[3, 4] == near(float((x[3] @ y[4] / 6 + 1) ** 3), dtype=torch.float32)


def test_subsets_as_large_as_the_sets_are_the_sets() -> None:
    x, y = features(20, seed=2), features(20, seed=3, shift=0.2)
    mean, deviation = kernel_distance(x, y, subsets=3, subset_size=20)
    assert mean == near(unbiased_mmd(x, y), summed(20 * 20), size=KERNEL)
    assert deviation == near(0, summed(20 * 20), size=KERNEL)


def test_subsets_are_drawn_without_replacement_by_the_seed() -> None:
    x, y = features(40, seed=4), features(50, seed=5, shift=0.2)
    generator = torch.Generator().manual_seed(7)
    values = []
    for _ in range(8):
        a, b = (torch.randperm(count, generator=generator)[:10] for count in (40, 50))
        values.append(numpy_mmd(x[a], y[b]))
    expected = (float(np.mean(values)), float(np.std(values)))
    assert kernel_distance(x, y, subsets=8, subset_size=10, seed=7) == near(expected, summed(10 * 10), size=KERNEL)


def test_it_is_unbiased_where_samples_are_few() -> None:
    sets = [(features(10, seed=2 * i), features(10, seed=2 * i + 1)) for i in range(300)]
    values = torch.tensor([unbiased_mmd(x, y) for x, y in sets])
    assert values.min() < 0
    assert abs(float(values.mean())) < 3 * float(values.std()) / 300**0.5


def test_a_shifted_set_is_farther_than_one_of_the_same_kind() -> None:
    x, y = features(200, seed=6), features(200, seed=7)
    assert abs(unbiased_mmd(x, y)) < 0.1 < unbiased_mmd(x, y + 0.5)


def test_published_subsets_need_a_thousand_samples() -> None:
    with pytest.raises(ConfigError, match="100 subsets of 1000 samples; take at least 1, of 2 to 20 samples, the smaller set's number"):
        kernel_distance(features(20, seed=8), features(2000, seed=9))


def test_broken_features_are_refused() -> None:
    good, nan = features(5, seed=10), features(5, seed=11) / 0
    with pytest.raises(DataError, match="NaN or infinite"):
        kernel_distance(good, nan, subset_size=2)
    with pytest.raises(DataError, match="features of 1 samples; this metric needs at least 2"):
        unbiased_mmd(good[:1], good)
    with pytest.raises(DataError, match="generated features have 6 dimensions, the reference has 4"):
        unbiased_mmd(good, good[:, :4])
