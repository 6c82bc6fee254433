"""How alike two sets of point clouds are: 1-NNA, coverage, minimum matching distance, and the Jensen-Shannon divergence.

Published tables differ in estimator and protocol: over the whole sets, or inside evaluation batches and averaged (DiT-3D's test script
since May 2024), which among other things makes MMD larger. Both go with every result.

Shapes: S samples, R references, P points of a cloud, G grid cells. Coordinates are in the units of the references.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from ditkit.errors import DataError
from ditkit.metrics.bootstrap import RESAMPLES, Interval, draws, mean_interval, recentred
from ditkit.metrics.cloud_distances import CloudDistance, OnPairs, between, pairs_within, within

WHOLE_SET = "whole sets"
GRID = 28  # cells along an edge, for the divergence of occupied space


@dataclass(frozen=True)
class Scores:
    """Named numbers with their intervals, and how they were obtained."""

    estimator: str
    protocol: str
    values: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Comparison:
    """The distances within and between two sets; every score is a mean over clouds of what it says of one."""

    references_RR: Tensor
    between_RS: Tensor
    samples_SS: Tensor

    @cached_property
    def outcomes(self) -> dict[str, Tensor]:
        """Per score, one number for each cloud that it is a mean over.

        1-NNA: whether a cloud's nearest other cloud is of its own set; 50 % means that the sets cannot be told apart (Lopez-Paz & Oquab
        2017). COV: whether a reference is the nearest of some sample, and MMD: each reference's distance to its nearest sample
        (Achlioptas et al. 2018). Distances that depend on the order count from the row's cloud to the column's.
        """
        own_RR, own_SS = (matrix.clone().fill_diagonal_(torch.inf) for matrix in (self.references_RR, self.samples_SS))
        references_alike = own_RR.amin(0) <= self.between_RS.amin(1)
        samples_alike = own_SS.amin(0) < self.between_RS.amin(0)
        covered = torch.zeros(len(self.between_RS)).index_fill_(0, self.between_RS.argmin(0).cpu(), 1.0)
        return {
            "1-NNA": torch.cat([references_alike, samples_alike]),
            "1-NNA references": references_alike,
            "1-NNA samples": samples_alike,
            "COV": covered,
            "MMD": self.between_RS.amin(1),
            "MMD samples": self.between_RS.amin(0),
        }

    def values(self) -> dict[str, float]:
        return {name: float(outcome.double().mean()) for name, outcome in self.outcomes.items()}

    def intervals(self, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Interval]:
        """Percentile bootstrap over the clouds of each mean, neighbours standing: a resampled cloud must not be its copy's neighbour.

        They tell how the scores vary with the samples generated, for one set of references; COV varies less than its interval says.
        """
        return {name: mean_interval(outcome, resamples, seed) for name, outcome in self.outcomes.items()}


def compare(
    samples_SP3: Tensor,
    references_RP3: Tensor,
    distance: CloudDistance,
    on_pairs: OnPairs | None = None,
    references_RR: Tensor | None = None,
) -> Comparison:
    """Measure all distances, but for those within the references if they are given.

    Raises `DataError` for what is no set of at least two finite clouds (N, P, 3).
    """
    for clouds in (samples_SP3, references_RP3):
        check_clouds(clouds)
    return Comparison(
        references_RR=within(references_RP3, distance, on_pairs) if references_RR is None else references_RR,
        between_RS=between(references_RP3, samples_SP3, distance, on_pairs),
        samples_SS=within(samples_SP3, distance, on_pairs),
    )


def set_scores(
    samples_SP3: Tensor,
    references_RP3: Tensor,
    distance: CloudDistance,
    batch: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_pairs: OnPairs | None = None,
    references_RR: Tensor | None = None,
) -> Scores:
    """1-NNA, COV and MMD under one distance, over the whole sets or averaged over batches of `batch` clouds, in order.

    DiT-3D's test script takes batches of 64 on one GPU. Shares are in 0 ... 1, MMD in the unit of the distance. `on_pairs(count)` is told
    of pairs as they are measured, `pairs_to_measure` of them in all; over whole sets, those within the references need not be measured
    again where `references_RR` gives them. Raises `DataError` as `compare` and `batches` do.
    """
    estimator = distance.estimator(max(samples_SP3.shape[1], references_RP3.shape[1]))
    if batch is None:
        comparison = compare(samples_SP3, references_RP3, distance, on_pairs, references_RR)
        return Scores(estimator, WHOLE_SET, comparison.values(), comparison.intervals(resamples, seed))
    parts = [
        compare(samples, references, distance, on_pairs).values() for samples, references in batches(samples_SP3, references_RP3, batch)
    ]
    return _averaged(parts, estimator, batch, resamples, seed)


def pairs_to_measure(samples: int, references: int, distance: CloudDistance, batch: int | None = None) -> int:
    """How many pairs of clouds `set_scores` measures."""
    if batch is None:
        return pairs_within(samples, distance) + samples * references + pairs_within(references, distance)
    sizes = [min(batch, samples - start) for start in range(0, samples, batch)]
    return sum(2 * pairs_within(size, distance) + size**2 for size in sizes)


def occupancy_scores(
    samples_SP3: Tensor, references_RP3: Tensor, batch: int | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Scores:
    """The Jensen-Shannon divergence between where the sets have their points, in bits, 0 ... 1 (Achlioptas et al. 2018).

    It means something only for clouds in the references' original scale, inside the ball of radius 0.5: what lies outside counts for the
    nearest cell. Intervals resample the generated clouds. Raises `DataError` as `set_scores` does.
    """
    estimator = f"occupied cells of a {GRID} x {GRID} x {GRID} grid in the ball of radius 0.5"
    if batch is not None:
        pairs = batches(samples_SP3, references_RP3, batch)
        parts = [{"JSD": jensen_shannon(occupancy(samples).sum(0), occupancy(references).sum(0))} for samples, references in pairs]
        return _averaged(parts, estimator, batch, resamples, seed)
    occupancy_SG, references_G = occupancy(samples_SP3), occupancy(references_RP3).sum(0)
    divergence = jensen_shannon(occupancy_SG.sum(0), references_G)
    values = [jensen_shannon(_times(drawn) @ occupancy_SG, references_G) for drawn in draws(len(occupancy_SG), resamples, seed)]
    return Scores(estimator, WHOLE_SET, {"JSD": divergence}, {"JSD": recentred(values, divergence)})


def occupancy(clouds_NP3: Tensor) -> Tensor:
    """How many points of each cloud have each cell of the ball as their nearest (N, G), in float64."""
    check_clouds(clouds_NP3)
    tree = _cells()
    _, nearest = tree.query(clouds_NP3.double().cpu().numpy())
    return torch.stack([torch.bincount(cells, minlength=tree.n) for cells in torch.from_numpy(nearest)]).double()


def jensen_shannon(a_G: Tensor, b_G: Tensor) -> float:
    """The divergence of two distributions, given as counts per cell, in bits."""
    p, q = a_G / a_G.sum(), b_G / b_G.sum()
    return float(_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2)


def batches(samples_SP3: Tensor, references_RP3: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Samples beside references, `batch` at a time; raises `DataError` unless they are as many, in two batches or more."""
    if len(samples_SP3) != len(references_RP3):
        raise DataError(f"{len(samples_SP3)} samples for {len(references_RP3)} references; batches pair them, so make as many")
    if not 2 <= batch < len(samples_SP3):
        raise DataError(f"batches of {batch} for {len(samples_SP3)} clouds; take 2 to {len(samples_SP3) - 1}, or the whole sets")
    if len(samples_SP3) % batch == 1:
        raise DataError(f"batches of {batch} leave one of {len(samples_SP3)} clouds alone; take another size")
    return zip(samples_SP3.split(batch), references_RP3.split(batch), strict=True)


def check_clouds(clouds_NP3: Tensor) -> None:
    """Raise `DataError` for what is no set of at least two finite clouds (N, P, 3)."""
    if clouds_NP3.ndim != 3 or clouds_NP3.shape[2] != 3:
        raise DataError(f"clouds have shape {tuple(clouds_NP3.shape)}; metrics take (clouds, points, 3), models make (clouds, 3, points)")
    if len(clouds_NP3) < 2:
        raise DataError(f"a set of {len(clouds_NP3)} clouds has no nearest neighbours; take at least 2")
    broken = int((~clouds_NP3.isfinite().flatten(1).all(1)).sum())
    if broken:
        raise DataError(f"{broken} of {len(clouds_NP3)} clouds have coordinates that are NaN or infinite; make them again, in float32")


def _averaged(parts: Sequence[dict[str, float]], estimator: str, batch: int, resamples: int, seed: int) -> Scores:
    """The plain mean over batches, and its interval over batches."""
    columns = {name: torch.tensor([part[name] for part in parts], dtype=torch.float64) for name in parts[0]}
    return Scores(
        estimator,
        f"inside batches of {batch} and averaged",
        {name: float(column.mean()) for name, column in columns.items()},
        {name: mean_interval(column, resamples, seed) for name, column in columns.items()},
    )


@cache
def _cells() -> KDTree:
    """The centres of those cells of the cube [-0.5, 0.5]^3 that lie in its ball."""
    edge = np.linspace(-0.5, 0.5, GRID)
    centres = np.stack(np.meshgrid(edge, edge, edge, indexing="ij"), -1).reshape(-1, 3)
    return KDTree(centres[np.linalg.norm(centres, axis=1) <= 0.5])


def _times(drawn_N: Tensor) -> Tensor:
    """How often each of N was drawn, in float64."""
    return torch.bincount(drawn_N, minlength=len(drawn_N)).double()


def _entropy(p_G: Tensor) -> Tensor:
    return -torch.xlogy(p_G, p_G).sum() / np.log(2)
