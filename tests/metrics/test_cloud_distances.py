"""Distances between clouds against published kernels, loops over points, and the bounds they promise."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ditkit.errors import DataError, UnknownName
from ditkit.metrics import cloud_distances as module
from ditkit.metrics.cloud_distances import (
    DISTANCES,
    annealed_matching,
    between,
    chamfer,
    entropic_transport,
    find,
    optimal_assignment,
    pairs_within,
    within,
)
from tests.closeness import assert_close, near, summed, tolerance
from tests.golden_files import golden

GOLDEN = {"cd": "cd", "emd-annealed": "emd_approx", "emd-exact": "emd_exact_l2", "emd-exact-squared": "emd_exact_sq"}


def roundings(points: int) -> float:
    """Of sums over points, in ten rounds of annealing too; the exponents that count in these are of size ten."""
    return summed(10 * points) * 10


def clouds(count: int, points: int, seed: int, scale: float = 0.25) -> Tensor:
    return torch.randn(count, points, 3, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("file", ["dit3d_metrics", "dit3d_metrics_unequal"])
@pytest.mark.parametrize("name", GOLDEN)
def test_the_published_distances_are_reproduced(name: str, file: str) -> None:
    reference, key = golden(file), GOLDEN[name]
    samples, references, distance = reference["in.sample"], reference["in.ref"], find(name)
    allowed = roundings(64)
    assert_close(between(references, samples, distance), reference[f"out.M_rs_{key}"].float(), allowed)
    assert_close(within(references, distance), reference[f"out.M_rr_{key}"].float(), allowed)
    assert_close(within(samples, distance), reference[f"out.M_ss_{key}"].float(), allowed)


def test_clouds_are_paired_by_index_too() -> None:
    reference = golden("dit3d_metrics")
    samples, references = reference["in.sample"], reference["in.ref"]
    assert_close(chamfer(samples, references), reference["out.paired_cd"], roundings(64))
    assert_close(annealed_matching(samples, references, power=2), reference["out.paired_emd_approx"], roundings(64))


def test_chamfer_is_the_sum_of_its_definition_wherever_the_clouds_lie() -> None:
    x, y = clouds(2, 30, seed=0) + 50, clouds(2, 41, seed=1) + 50
    a, b = x.double().numpy(), y.double().numpy()
    for index in range(2):
        squared = np.array([[((p - q) ** 2).sum() for q in b[index]] for p in a[index]])
        assert float(chamfer(x, y)[index]) == near(squared.min(1).mean() + squared.min(0).mean(), dtype=torch.float32, size=50)


@pytest.mark.parametrize(("name", "expected"), [("cd", 0.02), ("emd-exact", 0.1), ("emd-exact-squared", 0.01), ("emd-entropic", 0.1)])
def test_a_shifted_grid_is_as_far_as_it_was_shifted(name: str, expected: float) -> None:
    edge = torch.arange(4.0)
    grid = torch.cartesian_prod(edge, edge, edge)[None]
    assert float(find(name).between(grid, grid + torch.tensor([0.1, 0, 0]))) == near(
        expected, dtype=torch.float32, size=9, within=1e-3 * expected
    )  # the entropic plan is not quite there


def test_annealed_matching_is_the_published_recurrence_point_by_point() -> None:
    x, y = clouds(1, 12, seed=2), clouds(1, 6, seed=3)
    a, b = x[0].double().numpy(), y[0].double().numpy()
    n, m = len(a), len(b)
    squared = ((a[:, None] - b) ** 2).sum(2)
    left, wanted, match = np.ones(n), np.full(m, n // m, float), np.zeros((n, m))
    for level in [4.0**7, 4.0**6, 4.0**5, 4.0**4, 4.0**3, 4.0**2, 4.0, 1.0, 0.25, 0.0]:
        kernel = np.exp(-level * squared)
        offer = np.array([left[i] / (1e-9 + sum(kernel[i, j] * wanted[j] for j in range(m))) for i in range(n)])
        taken = np.array([wanted[j] * sum(kernel[i, j] * offer[i] for i in range(n)) for j in range(m)])
        share = np.minimum(wanted / (taken + 1e-9), 1) * wanted
        wanted = np.maximum(0, wanted - taken)
        step = kernel * offer[:, None] * share
        match, left = match + step, np.maximum(0, left - step.sum(1))
    assert float(annealed_matching(x, y, power=2)) == near((match * squared).sum() / n, roundings(12), torch.float32)
    assert float(annealed_matching(x, y, power=1)) == near((match * np.sqrt(squared)).sum() / n, roundings(12), torch.float32)


@pytest.mark.parametrize("scale", [0.25, 25.0])
def test_the_exact_distance_is_below_the_entropic_one_and_that_below_the_annealed(scale: float) -> None:
    x, y = clouds(6, 128, seed=4, scale=scale), clouds(6, 128, seed=5, scale=scale)
    exact, entropic = optimal_assignment(x, y, power=1), entropic_transport(x, y)
    assert (entropic >= exact * (1 - tolerance(1, roundings(128), torch.float32))).all()
    assert (entropic <= exact * 1.03).all()
    if scale < 1:  # the annealing's temperatures are for clouds of size one
        assert (annealed_matching(x, y, power=1) > entropic).all()


def test_a_cloud_is_at_distance_zero_from_itself_but_for_the_annealed_matching() -> None:
    x = clouds(3, 64, seed=6)
    for name in ("cd", "emd-exact", "emd-exact-squared", "emd-entropic"):
        assert float(find(name).between(x, x).max()) <= tolerance(1, dtype=torch.float32)
    dense = x / 10  # nearer to each other than the lowest temperature tells apart
    assert float(annealed_matching(dense, dense, power=1).min()) > 1e-4


def test_the_entropic_plan_takes_unequal_numbers_and_points_in_one_place() -> None:
    twice = clouds(2, 30, seed=7)
    assert float(entropic_transport(twice, torch.cat([twice, twice], 1)).max()) < 1e-4
    assert entropic_transport(torch.zeros(1, 5, 3), torch.zeros(1, 7, 3)).tolist() == [0]


@pytest.mark.parametrize("name", DISTANCES)
def test_a_matrix_is_made_of_its_pairs_whatever_the_block(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns, distance = clouds(4, 16, seed=8), clouds(3, 16, seed=9), find(name)
    whole = between(rows, columns, distance)
    monkeypatch.setattr(module, "ELEMENTS", 5 * 16 * 16)
    told: list[int] = []
    assert_close(between(rows, columns, distance, told.append), whole, roundings(16))
    assert sum(told) == 12 and (distance.one_way or told == [5, 5, 2])
    assert_close(whole[3, 1], distance.between(rows[3:], columns[1:2])[0], roundings(16))
    told.clear()
    own = within(rows, distance, told.append)
    assert_close(own, between(rows, rows, distance), roundings(16))
    assert sum(told) == pairs_within(4, distance) == (10 if distance.symmetric else 16)


def test_an_outlier_leaves_every_distance_finite_and_ordered() -> None:
    x, y = clouds(2, 64, seed=14), clouds(2, 64, seed=15)
    x[0, 3], y[1, 5] = 1e3, -1e4
    for name, distance in DISTANCES.items():
        assert distance.between(x, y).isfinite().all(), name
    assert (entropic_transport(x, y) >= optimal_assignment(x, y, power=1) * (1 - tolerance(1, roundings(64), torch.float32))).all()


def test_the_estimator_says_how_many_points_it_looked_at() -> None:
    distance, x, y = find("emd-exact"), clouds(2, 600, seed=10), clouds(2, 600, seed=11)
    assert distance.estimator(2048) == "earth mover's distance, optimal assignment, on 512 of 2048 points"
    assert distance.estimator(512) == "earth mover's distance, optimal assignment"
    assert distance.seen(x).shape == (2, 512, 3)
    assert torch.equal(distance.seen(x), distance.seen(x))
    assert_close(between(x, y, distance)[1, 1], optimal_assignment(distance.seen(x), distance.seen(y), 1)[1])
    assert len({entry.estimator(2048) for entry in DISTANCES.values()}) == len(DISTANCES)


def test_one_to_one_matchings_need_as_many_points() -> None:
    with pytest.raises(
        DataError, match="clouds of 5 and 7 points have no one-to-one matching; take as many points of both, or emd-entropic"
    ):
        optimal_assignment(clouds(1, 5, seed=12), clouds(1, 7, seed=13), power=1)
    with pytest.raises(UnknownName, match="no distance between clouds named 'emd-exakt'; did you mean 'emd-exact'?"):
        find("emd-exakt")
