"""Scores of sets of clouds against the published ones, loops over clouds, and sets whose likeness is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ditkit.errors import DataError
from ditkit.metrics.cloud_distances import find
from ditkit.metrics.clouds import (
    Comparison,
    Scores,
    batches,
    compare,
    jensen_shannon,
    occupancy,
    occupancy_scores,
    pairs_to_measure,
    set_scores,
)
from tests.closeness import near, tolerance
from tests.golden_files import golden
from tests.metrics.test_cloud_distances import roundings

FILES = ("dit3d_metrics", "dit3d_metrics_unequal")
OFFICIAL = {  # our name: theirs, of which {} is the distance
    "1-NNA": "1-NN-{}-acc",
    "1-NNA references": "1-NN-{}-acc_t",
    "1-NNA samples": "1-NN-{}-acc_f",
    "COV": "lgan_cov-{}",
    "MMD": "lgan_mmd-{}",
    "MMD samples": "lgan_mmd_smp-{}",
}
OF_EXACT = {"1-NNA": "1nn_acc", "1-NNA references": "1nn_acc_t", "1-NNA samples": "1nn_acc_f"}
OF_EXACT |= {"COV": "lgan_cov", "MMD": "lgan_mmd", "MMD samples": "lgan_mmd_smp"}


def clouds(count: int, points: int, seed: int) -> Tensor:
    """Every cloud of its own size and place."""
    generator = torch.Generator().manual_seed(seed)
    size, place = torch.rand(count, 1, 1, generator=generator) * 0.1, torch.randn(count, 1, 3, generator=generator) * 0.1
    return torch.randn(count, points, 3, generator=generator) * size + place


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("name", "theirs"), [("cd", "CD"), ("emd-annealed", "EMD")])
def test_the_published_scores_are_reproduced(name: str, theirs: str, file: str) -> None:
    reference = golden(file)
    scores = set_scores(reference["in.sample"], reference["in.ref"], find(name), resamples=20)
    official = {ours: float(reference[f"out.all_metrics.{key.format(theirs)}"]) for ours, key in OFFICIAL.items()}
    assert scores.values == near(official, roundings(64), torch.float32)
    assert (scores.estimator, scores.protocol) == (find(name).title, "whole sets")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("name", "theirs"), [("emd-exact", "l2"), ("emd-exact-squared", "sq")])
def test_the_published_scores_on_exact_distances_are_reproduced(name: str, theirs: str, file: str) -> None:
    reference = golden(file)
    scores = set_scores(reference["in.sample"], reference["in.ref"], find(name), resamples=20)
    official = {ours: float(reference[f"out.exact_emd_{theirs}.{key}"]) for ours, key in OF_EXACT.items()}
    assert scores.values == near(official, roundings(64), torch.float32)


@pytest.mark.parametrize(("name", "theirs"), [("cd", "CD"), ("emd-annealed", "EMD")])
def test_the_published_scores_inside_batches_are_reproduced(name: str, theirs: str) -> None:
    reference = golden("dit3d_metrics")
    scores = set_scores(reference["in.sample"], reference["in.ref"], find(name), batch=4, resamples=20)
    official = {ours: float(reference[f"out.perbatch_official_test_py.{ours}-{theirs}"]) for ours in ("1-NNA", "COV", "MMD")}
    assert {ours: scores.values[ours] for ours in official} == near(official, roundings(64), torch.float32)
    assert scores.protocol == "inside batches of 4 and averaged"


@pytest.mark.parametrize("file", FILES)
def test_the_published_divergence_is_reproduced(file: str) -> None:
    reference = golden(file)
    samples, references = reference["in.sample"], reference["in.ref"]
    assert torch.equal(occupancy(samples).sum(0), reference["out.jsd_sample_grid_counts"])
    scores = occupancy_scores(samples, references, resamples=20)
    assert scores.values["JSD"] == near(float(reference["out.jsd"]), dtype=torch.float32)
    if len(samples) == len(references):
        inside = occupancy_scores(samples, references, batch=4, resamples=20)
        assert inside.values["JSD"] == near(float(reference["out.perbatch_official_test_py.JSD"]), dtype=torch.float32)


def test_scores_are_what_loops_over_clouds_find() -> None:
    samples, references = clouds(9, 20, seed=0), clouds(7, 20, seed=1)
    every, labels = torch.cat([references, samples]), [0] * 7 + [1] * 9
    matrix = np.array([[float(find("cd").between(a[None], b[None])) for b in every] for a in every])
    nearest = [min((j for j in range(16) if j != i), key=lambda j: matrix[j, i]) for i in range(16)]
    alike = [labels[i] == labels[nearest[i]] for i in range(16)]
    cross = matrix[:7, 7:]
    assert compare(samples, references, find("cd")).values() == near(
        {
            "1-NNA": np.mean(alike),
            "1-NNA references": np.mean(alike[:7]),
            "1-NNA samples": np.mean(alike[7:]),
            "COV": len(set(cross.argmin(0))) / 7,
            "MMD": cross.min(1).mean(),
            "MMD samples": cross.min(0).mean(),
        },
        roundings(20),
        torch.float32,
    )


def test_sets_far_apart_are_told_apart_and_copies_are_not() -> None:
    references = clouds(10, 20, seed=2)
    far = compare(references + 5, references, find("cd")).values()
    copies = compare(references.clone(), references, find("cd")).values()
    assert (far["1-NNA"], copies["1-NNA"], copies["COV"]) == (1, 0, 1)
    assert far["COV"] < 1 and far["MMD"] > 25 and copies["MMD"] == near(0, dtype=torch.float32, size=1)


def test_one_shape_again_and_again_covers_one_reference() -> None:
    references = clouds(10, 20, seed=3)
    values = compare(references[4:5].repeat(10, 1, 1), references, find("cd")).values()
    assert values["COV"] == 0.1
    assert values["MMD samples"] <= tolerance(1, dtype=torch.float32) < values["MMD"]


def test_sets_of_one_kind_cannot_be_told_apart_and_most_intervals_say_so() -> None:
    generator = torch.Generator().manual_seed(4)
    held = 0
    for _ in range(40):
        samples, references = (torch.randn(100, 4, generator=generator) for _ in range(2))
        comparison = Comparison(torch.cdist(references, references), torch.cdist(references, samples), torch.cdist(samples, samples))
        low, high = comparison.intervals(200)["1-NNA"]
        held += low <= 0.5 <= high
    assert held >= 28


def test_every_score_lies_in_its_interval() -> None:
    samples, references = clouds(12, 20, seed=5), clouds(12, 20, seed=6)
    every = [scores(samples, references, batch) for scores in (in_sets, occupancy_scores) for batch in (None, 4)]
    for scores in every:
        assert scores.values.keys() == scores.intervals.keys()
        for name, (low, high) in scores.intervals.items():
            assert low <= scores.values[name] <= high


def in_sets(samples: Tensor, references: Tensor, batch: int | None) -> Scores:
    return set_scores(samples, references, find("cd"), batch)


@pytest.mark.parametrize("name", ["cd", "emd-annealed"])
@pytest.mark.parametrize("batch", [None, 4])
def test_every_pair_is_told(name: str, batch: int | None) -> None:
    told: list[int] = []
    set_scores(clouds(10, 8, seed=7), clouds(10, 8, seed=8), find(name), batch, resamples=20, on_pairs=told.append)
    assert sum(told) == pairs_to_measure(10, 10, find(name), batch)


def test_smaller_batches_make_the_matching_distance_larger() -> None:
    samples, references = clouds(16, 20, seed=9), clouds(16, 20, seed=10)
    whole, halves, quarters = (set_scores(samples, references, find("cd"), batch, 20).values["MMD"] for batch in (None, 8, 4))
    assert whole < halves < quarters


def test_the_divergence_of_equal_sets_is_zero_and_of_disjoint_ones_a_bit() -> None:
    cloud = torch.full((2, 5, 3), -0.2)
    left, right = occupancy(cloud).sum(0), occupancy(-cloud).sum(0)
    assert jensen_shannon(left, 3 * left) == near(0, size=1)
    assert jensen_shannon(left, right) == near(1)
    expected = 0.5 * (0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25)) + 0.5 * math.log2(1 / 0.75)
    assert jensen_shannon(left + right, left) == near(expected)


def test_points_outside_the_ball_count_for_the_nearest_cell() -> None:
    cells = occupancy(torch.tensor([[[9.0, 0, 0]], [[0, 0, 0]]]))
    assert cells.shape == (2, 10144)
    assert cells.sum(1).tolist() == [1, 1]


def test_what_is_no_set_of_clouds_is_refused() -> None:
    good = clouds(4, 8, seed=11)
    broken = good.clone()
    broken[1, 2, 0] = float("nan")
    with pytest.raises(DataError, match="1 of 4 clouds have coordinates that are NaN or infinite; make them again, in float32"):
        compare(broken, good, find("cd"))
    with pytest.raises(
        DataError, match=r"clouds have shape \(4, 3, 8\); metrics take \(clouds, points, 3\), models make \(clouds, 3, points\)"
    ):
        compare(good.mT, good, find("cd"))
    with pytest.raises(DataError, match="a set of 1 clouds has no nearest neighbours; take at least 2"):
        compare(good[:1], good, find("cd"))


def test_batches_that_cannot_be_are_refused() -> None:
    good = clouds(5, 8, seed=12)
    with pytest.raises(DataError, match="4 samples for 5 references; batches pair them, so make as many"):
        batches(good[:4], good, 2)
    with pytest.raises(DataError, match="batches of 64 for 5 clouds; take 2 to 4, or the whole sets"):
        batches(good, good, 64)
    with pytest.raises(DataError, match="batches of 2 leave one of 5 clouds alone; take another size"):
        batches(good, good, 2)
