"""Between point clouds and voxel grids: the mean of the points in every voxel, and back by trilinear interpolation (DiT-3D).

Shapes: B batch, C channels, N points, V voxels along a side, K = 8 corners around a point.
"""

import torch
from torch import Tensor


def voxel_coordinates(x_B3N: Tensor, side: int, frame_B3M: Tensor | None = None) -> Tensor:
    """Where the points lie in a grid of `side` voxels, in [0, side - 1] with voxel i's middle at i; float32 at least, no gradient.

    A cloud is centred on its mean and scaled by its farthest point, so that it fills the ball in the grid whatever its size; those
    are the mean and the farthest of the points `frame` where it is given, and points outside its ball go to the grid's face. A cloud
    whose points all coincide lies in the middle; points that are not finite go to 0, where they harm their own cloud only.
    """
    precise = torch.promote_types(x_B3N.dtype, torch.float32)
    x_B3N = x_B3N.detach().to(precise)
    frame_B3M = x_B3N if frame_B3M is None else frame_B3M.detach().to(precise)
    mean_B31 = frame_B3M.mean(dim=2, keepdim=True)
    centred_B3N = x_B3N - mean_B31
    spread_B3M = centred_B3N if frame_B3M is x_B3N else frame_B3M - mean_B31
    radius_B11 = spread_B3M.square().sum(dim=1, keepdim=True).amax(dim=2, keepdim=True).sqrt()
    unit_B3N = centred_B3N / (2 * radius_B11).clamp_min(torch.finfo(x_B3N.dtype).tiny) + 0.5
    return (unit_B3N * side).clamp(0, side - 1).nan_to_num(0.0)


def voxelise(features_BCN: Tensor, at_B3N: Tensor, side: int) -> Tensor:
    """The grid (B, C, V, V, V) of the mean features of the points nearest to each voxel (halves go to the even one); 0 where none is.

    `at` is what `voxel_coordinates` says. The gradient of a feature is its voxel's over the number of points there.
    """
    x_BN, y_BN, z_BN = at_B3N.round().long().unbind(1)
    index_BN = (x_BN * side + y_BN) * side + z_BN
    count_BV = at_B3N.new_zeros(len(index_BN), side**3).scatter_add_(1, index_BN, torch.ones_like(at_B3N[:, 0]))
    shares_BCN = features_BCN.to(at_B3N.dtype) / count_BV.gather(1, index_BN)[:, None]  # divided here, where there are fewer than voxels
    return _sums(shares_BCN, index_BN, side**3).to(features_BCN.dtype).unflatten(2, (side, side, side))


def _sums(values_BCN: Tensor, index_BN: Tensor, count: int) -> Tensor:
    """The sums (B, C, count) of the values that go to each place, in the order of the points on every device: the same bits each time."""
    if not values_BCN.is_cuda:
        empty = values_BCN.new_zeros(*values_BCN.shape[:2], count)
        return empty.scatter_add_(2, index_BN[:, None].expand_as(values_BCN), values_BCN)
    rows_B1 = torch.arange(len(index_BN), device=index_BN.device)[:, None]  # on CUDA scatter_add adds in any order, and this sorts first
    empty = values_BCN.new_zeros(len(values_BCN), count, values_BCN.shape[1])
    return empty.index_put((rows_B1, index_BN), values_BCN.mT, accumulate=True).mT


def devoxelise(grid_BCVVV: Tensor, at_B3N: Tensor) -> Tensor:
    """The features (B, C, N) at points between the voxels, linear along each axis; no gradient to the points' places."""
    side = grid_BCVVV.shape[-1]
    low_B3N = at_B3N.floor()
    share_B3N = at_B3N - low_B3N
    high_B3N = (low_B3N + 1).clamp_max(side - 1)  # where that is the low one too, its share is 0
    x, y, z = torch.stack([low_B3N, high_B3N], dim=2).long().unbind(1)
    index = (x[:, :, None, None] * side + y[:, None, :, None]) * side + z[:, None, None, :]
    to_x, to_y, to_z = torch.stack([1 - share_B3N, share_B3N], dim=2).unbind(1)
    weights = to_x[:, :, None, None] * to_y[:, None, :, None] * to_z[:, None, None, :]
    index_B1L = index.flatten(1)[:, None].expand(-1, grid_BCVVV.shape[1], -1)
    corners_BCKN = grid_BCVVV.flatten(2).gather(2, index_B1L).unflatten(2, (8, -1))
    return (corners_BCKN * weights.flatten(1, 3)[:, None]).sum(dim=2).to(grid_BCVVV.dtype)
