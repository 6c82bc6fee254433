"""Clouds as arrays: .npy and .npz of numpy, .pth and .pt of torch.

Shapes: N clouds, P points.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ditkit.errors import CheckpointError, DataError
from ditkit.files import unreadable
from ditkit.files.arrays import check_arrays
from ditkit.files.tensors import odd_kind, read_pickle

ENDINGS = (".npy", ".npz", ".pth", ".pt")
CALLED = ("points", "xyz", "pos", "positions", "coords", "pc", "pointcloud", "point_cloud")  # what people call the points among others
AXES = ("x", "y", "z")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; that of a .npy, or of a tensor alone, is named after the file. Raises `DataError`."""
    if path.suffix.lower() in (".pth", ".pt"):
        return {name: _plain(value) for name, value in _tensors(path).items()}
    check_arrays(path, DataError)
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {path.stem: _columns(content)}
        with content:
            return {name: _columns(content[name]) for name in content.files}
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read {path} as {path.suffix.lower()} of clouds: {unreadable.reason(error)}") from error


def read_array(path: Path) -> np.ndarray:
    """The one array that could be a cloud, of several the one called points or alike; raises `DataError` if there is none such."""
    arrays = read_arrays(path)
    if called := next((name for name in CALLED if name in arrays), None):
        return arrays[called]
    clouds = [array for array in arrays.values() if array.ndim in (2, 3)]
    if len(clouds) != 1:
        raise DataError(f"{path} holds {', '.join(arrays) or 'no arrays'}, and one cloud is wanted; save it alone")
    return clouds[0]


def _tensors(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        content = read_pickle(path)
    except CheckpointError as error:
        raise DataError(str(error)) from error
    found = {path.stem: content} if isinstance(content, torch.Tensor) else content
    if isinstance(found, Mapping):
        found = {name: value for name, value in found.items() if not isinstance(value, int | float | str | None)}  # said of the points
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise DataError(f"{path} holds a {type(content).__name__} and not one tensor of points; save that alone, with torch.save")
    if odd := next((kind for value in found.values() if (kind := odd_kind(value))), None):
        raise DataError(f"{path} holds {odd} tensors; save plain ones")
    return {str(name): value for name, value in found.items()}


def _columns(array: np.ndarray) -> np.ndarray:
    """Of records, as of scanners, x, y and z."""
    names = array.dtype.names or ()
    return np.stack([array[axis] for axis in AXES], axis=-1) if all(axis in names for axis in AXES) else array


def _plain(value: torch.Tensor) -> np.ndarray:
    return (value.detach().float() if value.is_floating_point() else value).numpy()  # numpy has no bfloat16
