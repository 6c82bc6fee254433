"""The Fréchet distance against closed forms, scipy's matrix root and a bootstrap written out."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from ditkit.errors import ConfigError, DataError
from ditkit.metrics import frechet
from ditkit.metrics.bootstrap import draws
from ditkit.metrics.frechet import Moments, few_samples, frechet_distance, frechet_interval
from tests.closeness import ROOTS, assert_close, near, summed


def features(count: int, dimensions: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator)
    return torch.randn(count, dimensions, generator=generator) @ mixing * scale + shift


def gaussian(mean: list[float], covariance: Tensor, count: int = 101) -> Moments:
    return Moments(count, torch.tensor(mean, dtype=torch.float64), covariance.double() * (count - 1))


def numpy_distance(x: Tensor, y: Tensor) -> float:
    """The formula as it is written, by a general matrix square root."""
    a, b = x.double().numpy(), y.double().numpy()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(cov_a @ cov_b))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root))


def test_moments_are_mean_and_unbiased_covariance() -> None:
    x = features(50, 6, seed=0)
    moments = Moments.from_features(x)
    assert_close(moments.mean, x.double().mean(0), summed(50))
    assert_close(moments.covariance, np.cov(x.double().numpy(), rowvar=False), summed(50))
    assert moments.count == 50 and moments.dimensions == 6
    assert moments.scatter.dtype == torch.float64


@pytest.mark.parametrize("parts", [(1, 49), (20, 30), (1, 1, 47, 1)])
def test_merged_moments_are_those_of_the_whole_set(parts: tuple[int, ...]) -> None:
    x = features(50, 6, seed=1, shift=1e4)  # far from zero, where sums of squares would cancel
    first, *rest = map(Moments.from_features, x.split(parts))
    for part in rest:
        first = first.merge(part)
    whole = Moments.from_features(x)
    assert first.count == whole.count
    assert_close(first.mean, whole.mean, summed(50))
    assert_close(
        first.scatter, whole.scatter, summed(50), size=1e4 * float(whole.scatter.max()) ** 0.5
    )  # of differences of the shifted means


def test_moments_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(50, 6, seed=2)
    whole = Moments.from_features(x)
    monkeypatch.setattr(frechet, "BLOCK", 7)
    assert_close(Moments.from_features(x).scatter, whole.scatter, summed(50))


def test_two_gaussians_on_a_line() -> None:
    a, b = gaussian([1.0], torch.tensor([[4.0]])), gaussian([4.0], torch.tensor([[25.0]]))
    assert frechet_distance(a, b) == near((1 - 4) ** 2 + (2 - 5) ** 2)


def test_two_gaussians_with_diagonal_covariances() -> None:
    mean_a, mean_b, std_a, std_b = [0.0, 1.0, 2.0], [3.0, 1.0, -1.0], torch.tensor([1.0, 2.0, 0.0]), torch.tensor([2.0, 0.5, 3.0])
    expected = 18 + float((std_a - std_b).square().sum())
    a, b = gaussian(mean_a, torch.diag(std_a**2)), gaussian(mean_b, torch.diag(std_b**2))
    assert frechet_distance(a, b) == near(expected)
    assert frechet_distance(b, a) == near(expected)


def test_a_set_is_at_distance_zero_from_itself_even_where_samples_are_few() -> None:
    few = Moments.from_features(features(10, 40, seed=3))
    assert frechet_distance(few, few) == near(0, 40, size=float(few.covariance.trace()) * ROOTS)


def test_a_shift_adds_its_square_and_a_rotation_nothing() -> None:
    x, y = features(200, 5, seed=4), features(300, 5, seed=5)
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    before = frechet_distance(Moments.from_features(x), Moments.from_features(y))
    turned = frechet_distance(Moments.from_features(x.double() @ rotation), Moments.from_features(y.double() @ rotation))
    assert turned == near(before, summed(300))
    same = frechet_distance(Moments.from_features(x.double()), Moments.from_features(x.double() + 2))
    assert same == near(5 * 2**2, summed(200), size=float(x.square().sum(1).mean()))


@pytest.mark.parametrize(("count", "dimensions"), [(100, 3), (500, 64)])
def test_it_agrees_with_a_general_matrix_square_root(count: int, dimensions: int) -> None:
    x, y = features(count, dimensions, seed=6), features(count + 11, dimensions, seed=7, scale=1.5, shift=0.3)
    distance = frechet_distance(Moments.from_features(x), Moments.from_features(y))
    assert distance == near(numpy_distance(x, y), summed(count), size=1e4)


def test_few_samples_are_told_with_both_numbers() -> None:
    assert few_samples(Moments.from_features(features(41, 40, seed=8))) is None
    assert few_samples(Moments.from_features(features(40, 40, seed=8))) == (
        "40 samples for 40 feature dimensions: the covariance is singular and the Fréchet distance too large; take at least 41 samples"
    )


@pytest.mark.parametrize("count", [12, 16, 60])  # by products up to 16 samples, by moments above
def test_an_interval_is_that_of_a_bootstrap_written_out(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "BLOCK", 7)
    x, reference = features(count, 16, seed=9, shift=0.2), Moments.from_features(features(400, 16, seed=10))
    values = [frechet_distance(Moments.from_features(x[drawn]), reference) for drawn in draws(count, 40, seed=3)]
    low, high = np.percentile(values, [2.5, 97.5]) + frechet_distance(Moments.from_features(x), reference) - np.mean(values)
    assert frechet_interval(x, reference, 40, seed=3) == near((low, high), 16, size=float(reference.covariance.trace()) * ROOTS)


def test_an_interval_holds_the_distance_of_other_sets_of_the_same_kind() -> None:
    """Plain percentiles would hold it in no case here: a resample's bias is larger than its spread."""
    generator = torch.Generator().manual_seed(11)
    reference = Moments.from_features(torch.randn(20_000, 8, generator=generator))
    sets = [torch.randn(200, 8, generator=generator) for _ in range(60)]
    expected = math.fsum(frechet_distance(Moments.from_features(x), reference) for x in sets) / len(sets)
    intervals = [frechet_interval(x, reference, 50, seed=0) for x in sets[:20]]
    assert sum(low <= expected <= high for low, high in intervals) >= 17


def test_an_interval_is_the_same_for_the_same_seed_alone() -> None:
    x, reference = features(30, 4, seed=12), Moments.from_features(features(100, 4, seed=13))
    assert frechet_interval(x, reference, 20, seed=1) == frechet_interval(x, reference, 20, seed=1)
    assert frechet_interval(x, reference, 20, seed=1) != frechet_interval(x, reference, 20, seed=2)


def test_broken_features_are_named() -> None:
    x = features(10, 4, seed=14)
    x[7, 2] = float("nan")
    x[9, 0] = float("inf")
    with pytest.raises(DataError, match=r"features of 2 of 10 samples are NaN or infinite \(the first is sample 7\)"):
        Moments.from_features(x)


def test_maps_are_not_features_before_they_are_flattened() -> None:
    with pytest.raises(
        DataError, match=r"features have shape \(5, 7, 3, 3\); a metric takes \(samples, dimensions\): flatten or pool them first"
    ):
        Moments.from_features(torch.zeros(5, 7, 3, 3))


def test_other_dimensions_a_single_sample_and_none_are_refused() -> None:
    reference = Moments.from_features(features(10, 4, seed=15))
    with pytest.raises(DataError, match="generated features have 5 dimensions, the reference has 4"):
        frechet_distance(Moments.from_features(features(10, 5, seed=16)), reference)
    with pytest.raises(DataError, match="a covariance needs at least 2 samples, here is 1"):
        frechet_distance(Moments.from_features(features(1, 4, seed=16)), reference)
    with pytest.raises(DataError, match="features of 0 samples; this metric needs at least 1"):
        Moments.from_features(torch.zeros(0, 4))
    with pytest.raises(DataError, match="features of 1 samples; this metric needs at least 2"):
        frechet_interval(features(1, 4, seed=16), reference)
    with pytest.raises(ConfigError, match="1 resamples make no interval; take at least 2, better 1000"):
        frechet_interval(features(10, 4, seed=16), reference, resamples=1)
