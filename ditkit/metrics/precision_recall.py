"""Which samples lie where the other set's samples are (Kynkäänniemi et al. 2019, arXiv 1904.06991, eq. 1-3).

A set's manifold is estimated as the union of balls around its samples, each reaching to the sample's k-th nearest neighbour.
Distances are float64, a tile at a time.

Shapes: N generated, M reference samples, D feature dimensions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.metrics.checks import check_same_dimensions, checked

NEIGHBOURS = 3
TILE = 2048  # samples on each side of a tile of distances


@dataclass(frozen=True)
class PrecisionRecall:
    """Whether each sample is inside the other set's manifold; a bootstrap of these gives the interval of either share."""

    generated_inside: Tensor  # (N,) bool
    reference_inside: Tensor  # (M,) bool

    @property
    def precision(self) -> float:
        """The share of generated samples that could be reference samples."""
        return float(self.generated_inside.double().mean())

    @property
    def recall(self) -> float:
        """The share of reference samples that could have been generated."""
        return float(self.reference_inside.double().mean())


def precision_recall(generated_ND: Tensor, reference_MD: Tensor, neighbours: int = NEIGHBOURS) -> PrecisionRecall:
    """Improved precision and recall; both fall with the number of samples, published figures take 10 000 and 50 000.

    Raises `DataError` for different dimensions, NaN, or no more samples than `neighbours` on a side.
    """
    for features in (generated_ND, reference_MD):
        checked(features, least=neighbours + 1)
    check_same_dimensions(generated_ND.shape[1], reference_MD.shape[1])
    return PrecisionRecall(
        generated_inside=_inside(generated_ND, reference_MD, _squared_radii(reference_MD, neighbours)),
        reference_inside=_inside(reference_MD, generated_ND, _squared_radii(generated_ND, neighbours)),
    )


def _squared_distances(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    x, y = x_ND.double(), y_MD.double()
    return (torch.addmm(y.square().sum(1), x, y.T, alpha=-2) + x.square().sum(1)[:, None]).clamp(min=0)


def _squared_radii(features_ND: Tensor, neighbours: int) -> Tensor:
    """Each sample's squared distance (N,) to its k-th neighbour; the sample itself is its zeroth."""
    radii = []
    for rows in features_ND.split(TILE):
        nearest = rows.new_empty(len(rows), 0, dtype=torch.float64)
        for columns in features_ND.split(TILE):
            candidates = torch.cat([nearest, _squared_distances(rows, columns)], 1)
            nearest = candidates.topk(min(neighbours + 1, candidates.shape[1]), largest=False).values
        radii.append(nearest[:, neighbours])
    return torch.cat(radii)


def _inside(samples_ND: Tensor, centres_MD: Tensor, squared_radii_M: Tensor) -> Tensor:
    """Whether each sample (N,) is in any of the balls."""
    balls = list(zip(centres_MD.split(TILE), squared_radii_M.split(TILE), strict=True))
    inside = [
        torch.stack([(_squared_distances(rows, centres) <= radii).any(1) for centres, radii in balls]).any(0)
        for rows in samples_ND.split(TILE)
    ]
    return torch.cat(inside)
