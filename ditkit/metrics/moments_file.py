"""Moments of reference pictures, as they are published.

Shapes: D features.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ditkit.errors import DataError
from ditkit.files import unreadable
from ditkit.files.arrays import check_arrays
from ditkit.metrics.frechet import Moments


def moments_in(path: Path) -> tuple[Moments, Moments | None]:
    """Published reference moments in an .npz with `mu` and `sigma`, and perhaps those of spatial features, `mu_s` and `sigma_s`.

    Raises `DataError` for anything else.
    """
    check_arrays(path, DataError)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]).double() for name in ("mu", "sigma", "mu_s", "sigma_s") if name in file.files}
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read {path} as an .npz of moments: {unreadable.reason(error)}") from error
    found = [
        _moments(arrays[mean], arrays[sigma], path) if {mean, sigma} <= arrays.keys() else None
        for mean, sigma in (("mu", "sigma"), ("mu_s", "sigma_s"))
    ]
    if found[0] is None:
        raise DataError(f"{path} has no moments: it lacks mu or sigma")
    return found[0], found[1]


def _moments(mean_D: Tensor, covariance_DD: Tensor, path: Path) -> Moments:
    """As of two samples, whose scatter is the covariance: what is published does not say how many there were."""
    if mean_D.ndim != 1 or covariance_DD.shape != (len(mean_D), len(mean_D)):
        raise DataError(f"{path} has a mean {tuple(mean_D.shape)} and a covariance {tuple(covariance_DD.shape)}, which do not fit")
    if not (mean_D.isfinite().all() and covariance_DD.isfinite().all()):
        raise DataError(f"{path} has moments that are NaN or infinite")
    return Moments(2, mean_D, covariance_DD)
