"""Labelled point clouds to train on and to compare with: .npz files, or a folder of clouds and meshes per category.

Shapes: N clouds, P points of a cloud, which differ from cloud to cloud; B batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.points import Points
from ditkit.data import unreadable
from ditkit.errors import DataError
from ditkit.shapes.clouds import LEAST_POINTS, SUFFIXES, checked, read_points

Split = Literal["train", "test"]
SPLIT_AT = 10_000  # published clouds have 15,000 points: the first are for training, the others for evaluation
FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val")}


@dataclass(frozen=True)
class Clouds:
    """Clouds (P, 3), each with the number of its category in `class_names`."""

    points: tuple[np.ndarray, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.points)


def load_clouds(path: str | Path, split: Split = "train", categories: Sequence[str] = ()) -> Clouds:
    """The clouds of `path`, those of `categories` in that order, or all in alphabetical order.

    `path` is an .npz with `train_points` and `test_points`, or `points` (N, P, 3), and perhaps `labels` and `class_names`; a folder
    with such a file per category; or a folder with a folder per category of .ply, .obj, .off, .stl or .npy files, which may lie in
    a `train`, `test` or `val` folder further down. Of a mesh 10,000 points are drawn. Raises `DataError`.
    """
    root = Path(path)
    if not root.exists():
        raise DataError(f"no data at {root}: give an .npz of clouds, a folder of them, or a folder of clouds or meshes per category")
    found = _in_file(root, split) if root.is_file() else _in_folder(root, split)
    unknown = [name for name in categories if name not in found]
    if unknown:
        raise DataError(f"no category named '{unknown[0]}' in {root}; it has {', '.join(found)}")
    chosen = {name: found[name] for name in categories or sorted(found)}
    clouds = [_read(source) for source in chosen.values()]
    labels = np.repeat(np.arange(len(chosen)), [len(of_one) for of_one in clouds])
    return Clouds(tuple(cloud for of_one in clouds for cloud in of_one), labels, tuple(chosen))


def part(cloud: np.ndarray, split: Split) -> np.ndarray:
    """The points that this split may see: of more than 10,000, the first are for training and the others for evaluation."""
    if len(cloud) < SPLIT_AT + LEAST_POINTS:
        return cloud
    return cloud[:SPLIT_AT] if split == "train" else cloud[SPLIT_AT:]


def labelled_as(clouds: Clouds, names: Sequence[str]) -> Clouds:
    """The same clouds with the labels that a model of the categories `names` knows; raises `DataError` for one it does not know."""
    unknown = [name for name in clouds.class_names if name not in names]
    if unknown:
        raise DataError(f"the model has no category '{unknown[0]}', only {', '.join(names)}; choose with data.categories=[{names[0]}]")
    places = np.array([names.index(name) for name in clouds.class_names])
    return Clouds(clouds.points, places[clouds.labels], tuple(names))


def normalisation(clouds: Clouds) -> Points:
    """One mean per axis and one standard deviation for all coordinates, over every point, those for evaluation too: the published one."""
    count = sum(len(cloud) for cloud in clouds.points)
    mean = np.sum([cloud.sum(axis=0, dtype=np.float64) for cloud in clouds.points], axis=0) / count
    grand = float(mean.mean())
    variance = sum(float(np.square(cloud - grand, dtype=np.float64).sum()) for cloud in clouds.points) / (3 * count)
    return Points(tuple(mean.tolist()), variance**0.5)


class CloudDraws:
    """Clouds as training sees them: `points` of a cloud in random order, mirrored left to right, stretched along each axis.

    A cloud with too few points gives some of them more than once. A category of n clouds is drawn with a chance in proportion to
    n^(1 - balance): 0 is as the data are, 1 is every category alike. The published training draws the points with replacement.
    """

    def __init__(self, clouds: Clouds, codec: Points, points: int, *, mirror: bool, stretch: float, balance: float) -> None:
        self.clouds, self.codec, self.points = clouds, codec, points
        self.mirror, self.stretch = mirror, stretch
        self.labels = torch.from_numpy(clouds.labels)
        sizes = torch.bincount(self.labels).double()
        self.chances = sizes[self.labels] ** -balance

    def draw(self, generator: torch.Generator, batch: int, rows: slice) -> tuple[Tensor, Tensor]:
        """Clouds (rows, 3, points), normalised, and labels (rows,) of a batch; a cloud depends on its own seed only."""
        chosen = torch.multinomial(self.chances, batch, replacement=True, generator=generator)[rows]
        seeds = torch.randint(2**62, (batch,), generator=generator)[rows]
        drawn = [self._one(cloud, seed) for cloud, seed in zip(chosen.tolist(), seeds.tolist(), strict=True)]
        return self.codec.encode(torch.stack(drawn))[0], self.labels[chosen]

    def _one(self, index: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        cloud_P3 = torch.from_numpy(part(self.clouds.points[index], "train"))
        order = torch.randperm(len(cloud_P3), generator=generator)
        factors = 1 + self.stretch * (2 * torch.rand(3, generator=generator) - 1)
        if self.mirror and bool(torch.rand((), generator=generator) < 0.5):
            factors[0] = -factors[0]
        return (cloud_P3[order[torch.arange(self.points) % len(order)]] * factors).T


def _in_file(file: Path, split: Split) -> dict[str, list[np.ndarray] | list[Path]]:
    """The clouds of an .npz by category: those its labels name, or all of the one it is named after."""
    arrays = _arrays(file)
    clouds = _clouds_in(arrays, split)
    if clouds is None:
        raise DataError(f"{file} holds no clouds: it has {', '.join(arrays) or 'no arrays'}, not {split}_points or points")
    if "labels" not in arrays:
        return {file.stem: _checked_all(clouds, file)}
    labels, names = arrays["labels"], [str(name) for name in arrays.get("class_names", ())]
    if len(labels) != len(clouds) or not (len(labels) == 0 or 0 <= labels.min() <= labels.max() < len(names)):
        raise DataError(f"{file} has {len(clouds)} clouds, {len(labels)} labels and {len(names)} class_names, which do not fit")
    return {name: _checked_all(clouds[labels == label], file) for label, name in enumerate(names)}


def _in_folder(root: Path, split: Split) -> dict[str, list[np.ndarray] | list[Path]]:
    """Where the clouds of each category are; an .npz or a folder without any is left out."""
    if (root / "manifest.json").exists():
        raise DataError(f"{root} is a run and not data; its clouds as data are {root / 'clouds.npz'}")
    sheets = {file.stem: _clouds_in(_arrays(file), split) for file in sorted(root.glob("*.npz"))}
    found: dict[str, list[np.ndarray] | list[Path]] = {
        name: _checked_all(clouds, root / f"{name}.npz") for name, clouds in sheets.items() if clouds is not None
    }
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        inner = next((folder / name for name in FOLDERS[split] if (folder / name).is_dir()), folder)
        if files := sorted(file for file in inner.iterdir() if file.suffix.lower() in SUFFIXES):
            found[folder.name] = files
    if not found:
        raise DataError(
            f"{root} holds no clouds: expected {root}/<category>.npz or {root}/<category>/<shape>.ply (or {' '.join(SUFFIXES[1:])})"
        )
    return found


def _read(source: list[np.ndarray] | list[Path]) -> list[np.ndarray]:
    return [read_points(one, SPLIT_AT, seed) if isinstance(one, Path) else one for seed, one in enumerate(source)]


def _arrays(file: Path) -> Mapping[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read {file} as an .npz of clouds: {error}") from error


def _clouds_in(arrays: Mapping[str, np.ndarray], split: Split) -> np.ndarray | None:
    return next((arrays[name] for name in (f"{split}_points", "points") if name in arrays), None)


def _checked_all(clouds: np.ndarray, file: Path) -> list[np.ndarray]:
    if clouds.ndim != 3 or not len(clouds):
        raise DataError(f"{file} holds no clouds: their shape is {clouds.shape}, not (clouds, points, 3)")
    return [checked(cloud, f"cloud {index} of {file}") for index, cloud in enumerate(clouds)]
