"""Mean squared distances to nearest points, of whole sets of clouds at once: a search in trees, exact, in place of all distances.

Shapes: R clouds asked for, S clouds searched, P and Q points of a cloud.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

LEAF = 16  # points that a tree does not divide further


def mean_squared_to_nearest(x_RP3: Tensor, y_SQ3: Tensor, on_tree: Callable[[], object] | None = None) -> Tensor:
    """Of each cloud x to each cloud y, how far its points are from the nearest of y (R, S), in float64; on as many threads as torch has.

    `on_tree()` is told of each cloud y.
    """
    queries = np.stack([_near_each_other(cloud) for cloud in x_RP3.double().cpu().numpy()])
    columns = []
    for cloud in y_SQ3.double().cpu().numpy():
        distances_RP, _ = KDTree(cloud, leafsize=LEAF).query(queries, workers=torch.get_num_threads())
        columns.append(torch.from_numpy(np.square(distances_RP).mean(1)))
        if on_tree:
            on_tree()
    return torch.stack(columns, 1)


def _near_each_other(cloud_P3: np.ndarray) -> np.ndarray:
    """The points in the order of a tree's leaves: neighbours in turn find their own neighbours in the processor's cache."""
    return cloud_P3[KDTree(cloud_P3, leafsize=LEAF).indices]
