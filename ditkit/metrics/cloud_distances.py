"""How far two point clouds are from each other: Chamfer's distance, and estimators of the earth mover's distance that differ in value.

The earth mover's distance is the least mean cost of moving one cloud's points onto the other's; published numbers take different costs
and approximate matchings, so a number means something only together with the name of its estimator.

Shapes: B pairs of clouds, P and Q points of a cloud, N R S clouds of a set. Coordinates are in the units of the clouds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ditkit.errors import DataError, UnknownName
from ditkit.metrics.nearest_points import mean_squared_to_nearest

EXACT_POINTS = 512  # optimal assignment takes about 20 ms a pair at 512 points and grows with their cube
ELEMENTS = 2**22  # point distances held at once: what stays in a processor's cache is twice as fast as what does not
ANNEALING = (*(4.0**power for power in range(7, -2, -1)), 0.0)  # the published matching's levels: inverse temperatures
TEMPERATURES = tuple(0.5**power for power in range(1, 10))  # of the entropic plan, in mean costs
SINKHORN_STEPS = 50  # at each temperature

OnPairs = Callable[[int], object]


@dataclass(frozen=True)
class CloudDistance:
    """One estimator: `between` takes pairs (B, P, 3), (B, Q, 3) to (B,); where it is `symmetric`, a pair is measured one way only.

    Of larger clouds it looks at `points` points, drawn once for all clouds. Where it is the sum of what `one_way` takes sets (R, P, 3),
    (S, Q, 3) to (R, S) both ways, a CPU measures sets by that.
    """

    title: str
    between: Callable[[Tensor, Tensor], Tensor]
    symmetric: bool
    points: int | None = None
    one_way: Callable[[Tensor, Tensor, Callable[[], object]], Tensor] | None = None

    def estimator(self, points: int) -> str:
        """How a report names it, for clouds of so many points."""
        return f"{self.title}, on {self.points} of {points} points" if self.points and points > self.points else self.title

    def seen(self, clouds_NP3: Tensor) -> Tensor:
        """The points that the estimator looks at (N, at most `points`, 3)."""
        points = clouds_NP3.shape[1]
        if self.points is None or points <= self.points:
            return clouds_NP3
        return clouds_NP3[:, torch.randperm(points, generator=torch.Generator().manual_seed(0))[: self.points]]


def chamfer(x_BP3: Tensor, y_BQ3: Tensor) -> Tensor:
    """Mean squared distance to the nearest point of the other cloud, both directions added (Achlioptas et al. 2018; PointFlow)."""
    middle = x_BP3.mean(1, keepdim=True)  # |x|^2 - 2xy + |y|^2 as one product; near zero it does not cancel
    x, y = x_BP3 - middle, y_BQ3 - middle
    x_BP5 = torch.cat([-2 * x, x.square().sum(2, keepdim=True), torch.ones_like(x[..., :1])], 2)
    y_BQ5 = torch.cat([y, torch.ones_like(y[..., :1]), y.square().sum(2, keepdim=True)], 2)
    squared_BPQ = x_BP5 @ y_BQ5.mT
    return squared_BPQ.amin(2).clamp(min=0).mean(1) + squared_BPQ.amin(1).clamp(min=0).mean(1)


def optimal_assignment(x_BP3: Tensor, y_BP3: Tensor, power: int) -> Tensor:
    """The exact minimum over one-to-one matchings of the mean distance to the `power`; raises `DataError` for unequal numbers of points."""
    if x_BP3.shape[1] != y_BP3.shape[1]:
        points = f"{x_BP3.shape[1]} and {y_BP3.shape[1]}"
        raise DataError(f"clouds of {points} points have no one-to-one matching; take as many points of both, or emd-entropic")
    costs = _distances(x_BP3, y_BP3).pow(power).double().cpu().numpy()
    return torch.tensor([cost[linear_sum_assignment(cost)].mean() for cost in costs], dtype=torch.float64).to(x_BP3)


def annealed_matching(x_BP3: Tensor, y_BQ3: Tensor, power: int) -> Tensor:
    """The mean cost of the matching that most published tables use (Fan et al. 2017; PointFlow, PVD, DiT-3D).

    At falling inverse temperatures, points share what is left of them with near points, by squared distance. It is not the optimum, it
    depends on scale and on which cloud comes first, and a cloud's distance to itself is not zero. `power` is of the cost alone.
    """
    distances_BPQ = _distances(x_BP3, y_BQ3)
    points, others = distances_BPQ.shape[1:]
    left_BP = torch.full_like(distances_BPQ[:, :, 0], max(others // points, 1))
    wanted_BQ = torch.full_like(distances_BPQ[:, 0], max(points // others, 1))
    squared_BPQ, cost_BPQ = distances_BPQ.square(), distances_BPQ.pow(power)
    total_B = torch.zeros_like(left_BP[:, 0])
    for level in ANNEALING:
        near_BPQ = _exp(squared_BPQ * -level)
        offer_BP = left_BP / (1e-9 + _apply(near_BPQ, wanted_BQ))
        taken_BQ = wanted_BQ * _apply(near_BPQ.mT, offer_BP)
        share_BQ = (wanted_BQ / (taken_BQ + 1e-9)).clamp(max=1) * wanted_BQ
        wanted_BQ = (wanted_BQ - taken_BQ).clamp(min=0)
        left_BP = (left_BP - offer_BP * _apply(near_BPQ, share_BQ)).clamp(min=0)
        total_B = total_B + (offer_BP * _apply(near_BPQ.mul_(cost_BPQ), share_BQ)).sum(1)
    return total_B / points


def entropic_transport(x_BP3: Tensor, y_BQ3: Tensor) -> Tensor:
    """The mean distance under a plan smoothed by entropy (Cuturi 2013): not below the optimum, but for rounding, and a little above it.

    Potentials are kept as logarithms and scalings absorbed into them at each temperature (Schmitzer 2019, section 3). The plan's
    marginals are made exact at the end (Altschuler et al. 2017, algorithm 2). Takes unequal numbers of points.
    """
    cost_BPQ = _distances(x_BP3, y_BQ3)
    points, others = cost_BPQ.shape[1:]
    tiny = torch.finfo(cost_BPQ.dtype).tiny
    mean_B1 = cost_BPQ.mean((1, 2))[:, None].clamp(min=tiny)
    x_potential_BP, y_potential_BQ = torch.zeros_like(cost_BPQ[:, :, 0]), torch.zeros_like(cost_BPQ[:, 0])
    plan_BPQ = cost_BPQ
    for temperature in TEMPERATURES:
        plan_BPQ = _exp((x_potential_BP[:, :, None] + y_potential_BQ[:, None] - cost_BPQ) / (mean_B1[..., None] * temperature))
        u_BP, v_BQ = torch.ones_like(x_potential_BP), torch.full_like(y_potential_BQ, 1 / others)
        for _ in range(SINKHORN_STEPS):
            u_BP = 1 / points / _apply(plan_BPQ, v_BQ)
            v_BQ = 1 / others / _apply(plan_BPQ.mT, u_BP)
        plan_BPQ = plan_BPQ * u_BP[:, :, None] * v_BQ[:, None]
        x_potential_BP = x_potential_BP + mean_B1 * temperature * u_BP.log()
        y_potential_BQ = y_potential_BQ + mean_B1 * temperature * v_BQ.log()
    plan_BPQ = plan_BPQ * (1 / points / plan_BPQ.sum(2, keepdim=True)).clamp(max=1)
    plan_BPQ = plan_BPQ * (1 / others / plan_BPQ.sum(1, keepdim=True)).clamp(max=1)
    missing_BP, missing_BQ = (1 / points - plan_BPQ.sum(2)).clamp(min=0), (1 / others - plan_BPQ.sum(1)).clamp(min=0)
    rest_B = (missing_BP * _apply(cost_BPQ, missing_BQ)).sum(1) / missing_BP.sum(1).clamp(min=tiny)
    return (plan_BPQ * cost_BPQ).sum((1, 2)) + rest_B


DISTANCES = {
    "cd": CloudDistance("Chamfer distance, squared, both directions added", chamfer, True, None, mean_squared_to_nearest),
    "emd-exact": CloudDistance("earth mover's distance, optimal assignment", partial(optimal_assignment, power=1), True, EXACT_POINTS),
    "emd-exact-squared": CloudDistance(
        "earth mover's distance, optimal assignment, squared cost", partial(optimal_assignment, power=2), True, EXACT_POINTS
    ),
    "emd-annealed": CloudDistance(  # DiT-3D and PVD
        "earth mover's distance, annealed matching, squared cost", partial(annealed_matching, power=2), symmetric=False
    ),
    "emd-annealed-euclidean": CloudDistance(  # PointFlow
        "earth mover's distance, annealed matching", partial(annealed_matching, power=1), symmetric=False
    ),
    "emd-entropic": CloudDistance("earth mover's distance, entropic plan (Sinkhorn)", entropic_transport, symmetric=False),
}


def find(name: str) -> CloudDistance:
    """The estimator of that name; raises `UnknownName`."""
    if name not in DISTANCES:
        raise UnknownName("distance between clouds", name, DISTANCES)
    return DISTANCES[name]


def between(rows_RP3: Tensor, columns_SQ3: Tensor, distance: CloudDistance, on_pairs: OnPairs | None = None) -> Tensor:
    """The distance of each row's cloud to each column's (R, S), many pairs at once; `on_pairs(count)` is told how many are done."""
    if distance.one_way and not rows_RP3.is_cuda:
        told = _Told(len(rows_RP3) * len(columns_SQ3), len(rows_RP3) + len(columns_SQ3), on_pairs)
        there, back = distance.one_way(rows_RP3, columns_SQ3, told), distance.one_way(columns_SQ3, rows_RP3, told)
        return (there + back.T).to(rows_RP3.dtype)
    rows, columns = torch.meshgrid(torch.arange(len(rows_RP3)), torch.arange(len(columns_SQ3)), indexing="ij")
    values = _of_pairs(rows_RP3, columns_SQ3, rows.flatten(), columns.flatten(), distance, on_pairs)
    return values.view(len(rows_RP3), len(columns_SQ3))


def within(clouds_NP3: Tensor, distance: CloudDistance, on_pairs: OnPairs | None = None) -> Tensor:
    """The distance of each cloud to each (N, N); a symmetric one is measured once a pair."""
    if not distance.symmetric:
        return between(clouds_NP3, clouds_NP3, distance, on_pairs)
    if distance.one_way and not clouds_NP3.is_cuda:
        there = distance.one_way(clouds_NP3, clouds_NP3, _Told(pairs_within(len(clouds_NP3), distance), len(clouds_NP3), on_pairs))
        return (there + there.T).to(clouds_NP3.dtype)
    rows, columns = torch.triu_indices(len(clouds_NP3), len(clouds_NP3))
    values = _of_pairs(clouds_NP3, clouds_NP3, rows, columns, distance, on_pairs)
    matrix = values.new_empty(len(clouds_NP3), len(clouds_NP3))
    matrix[rows, columns] = values
    matrix[columns, rows] = values
    return matrix


def pairs_within(count: int, distance: CloudDistance) -> int:
    """How many pairs `within` measures."""
    return count * (count + 1) // 2 if distance.symmetric else count**2


class _Told:
    """Tells `on_pairs` of a fair part of the `pairs` at each of `calls` calls, and so of all of them by the last."""

    def __init__(self, pairs: int, calls: int, on_pairs: OnPairs | None) -> None:
        self.pairs, self.calls, self.on_pairs, self.call = pairs, calls, on_pairs, 0

    def __call__(self) -> None:
        before = self.pairs * self.call // self.calls
        self.call += 1
        if self.on_pairs:
            self.on_pairs(self.pairs * self.call // self.calls - before)


def _of_pairs(x_RP3: Tensor, y_SQ3: Tensor, rows: Tensor, columns: Tensor, distance: CloudDistance, on_pairs: OnPairs | None) -> Tensor:
    x, y = distance.seen(x_RP3), distance.seen(y_SQ3)
    at_once = max(1, ELEMENTS // (x.shape[1] * y.shape[1]))
    values = []
    for row, column in zip(rows.split(at_once), columns.split(at_once), strict=True):
        values.append(distance.between(x[row], y[column]))
        if on_pairs:
            on_pairs(len(row))
    return torch.cat(values)


def _distances(x_BP3: Tensor, y_BQ3: Tensor) -> Tensor:
    """Euclidean distances (B, P, Q) from differences: the annealed matching sees errors of a product of matrices."""
    return torch.cdist(x_BP3, y_BQ3, compute_mode="donot_use_mm_for_euclid_dist")


def _apply(matrix_BPQ: Tensor, vector_BQ: Tensor) -> Tensor:
    return (matrix_BPQ @ vector_BQ[..., None])[..., 0]


def _exp(x: Tensor) -> Tensor:
    """exp, but not below e^-60, which is nothing beside one; processors are slow with numbers yet smaller."""
    return x.clamp(min=-60).exp_()
