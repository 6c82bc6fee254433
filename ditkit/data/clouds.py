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
from ditkit.data.pictures import once
from ditkit.data.synsets import category
from ditkit.errors import DataError
from ditkit.files.listing import files_in, folders_in, named
from ditkit.shapes.arrays import ENDINGS as ARRAYS
from ditkit.shapes.arrays import read_arrays
from ditkit.shapes.clouds import ENDINGS, LEAST_POINTS, MOST_COLUMNS, Note, checked, find_clouds, ignore, read_points

Split = Literal["train", "test"]
SPLIT_AT = 10_000  # published clouds have 15,000 points: the first are for training, the others for evaluation
FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val")}
OF_NUMPY = (".npz", ".npy")  # of a folder's own files; those of torch are weights more often than clouds
OF_SPLITS = ("train_points", "test_points", "val_points")
Source = list[np.ndarray] | list[Path]
"""The clouds of one category, or where they are."""


@dataclass(frozen=True)
class Clouds:
    """Clouds (P, 3), each with the number of its category in `class_names`."""

    points: tuple[np.ndarray, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.points)


def load_clouds(path: str | Path, split: Split = "train", categories: Sequence[str] = (), note: Note = ignore) -> Clouds:
    """The clouds of `path`, those of `categories` in that order, or all in alphabetical order.

    `path` is a file of arrays with `train_points` and `test_points`, or `points` (N, P, 3) or one such array under any name, and perhaps
    `labels` and `class_names`; a folder with such a file per category; or a folder with a folder per category of clouds and meshes, which
    may lie in a `train`, `test` or `val` folder further down. ShapeNet's synsets go by their names. Of a mesh 10,000 points are drawn.
    What is left out is said in a `note`. Raises `DataError`.
    """
    root, note = Path(path), once(note)
    if not root.exists():
        raise DataError(f"no data at {root}: give an .npz of clouds, a folder of them, or a folder of clouds or meshes per category")
    found = _in_file(root, split, note) if root.is_file() else _in_folder(root, split, note)
    wanted = [category(name) for name in categories]
    unknown = [name for name in wanted if name not in found]
    if unknown:
        there = ",".join(found)
        raise DataError(f"no category named '{unknown[0]}' in {root}; it has {', '.join(found)}: choose with data.categories=[{there}]")
    chosen = {name: found[name] for name in wanted or sorted(found)}
    clouds = [_read(source, note) for source in chosen.values()]
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


def _in_file(file: Path, split: Split, note: Note) -> dict[str, Source]:
    """The clouds of a file by category: those its labels name, or all of the one it is named after."""
    if file.suffix.lower() not in ARRAYS:
        raise DataError(f"{file} is no file of several clouds ({' '.join(ARRAYS)}); give a folder with a folder of them per category")
    arrays = read_arrays(file)
    clouds = _clouds_in(arrays, split)
    if clouds is None:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "no arrays"
        raise DataError(f"{file} holds no clouds: it has {shapes}, and {split}_points, points or one array (clouds, points, 3) is wanted")
    if "labels" not in arrays:
        return {category(file.stem): _checked_all(clouds, file, note)}
    labels, names = arrays["labels"], [str(name) for name in arrays.get("class_names", ())]
    if len(labels) != len(clouds) or not (len(labels) == 0 or 0 <= labels.min() <= labels.max() < len(names)):
        raise DataError(f"{file} has {len(clouds)} clouds, {len(labels)} labels and {len(names)} class_names, which do not fit")
    return {name: _checked_all(clouds[labels == label], file, note) for label, name in enumerate(names)}


def _in_folder(root: Path, split: Split, note: Note) -> dict[str, Source]:
    """Where the clouds of each category are; a file or a folder without any is left out."""
    if (root / "manifest.json").exists():
        raise DataError(f"{root} is a run and not data; its clouds as data are {root / 'clouds.npz'}")
    root = _of_split(root, split) or root
    found: dict[str, Source] = {}
    others: list[Path] = []
    for file in files_in(root):
        clouds = _clouds_in(read_arrays(file), split) if file.suffix.lower() in OF_NUMPY else None
        if clouds is None:
            others.append(file)
        else:
            found[category(file.stem)] = _checked_all(clouds, file, note)
    empty: list[Path] = []
    for folder in folders_in(root):
        clouds, strange = _shapes_of(folder, split)
        others += strange
        if not clouds:
            empty.append(folder)
        elif category(folder.name) in found:
            raise DataError(f"{root} has the category {category(folder.name)} twice, once in {folder.name}; rename one of them")
        else:
            found[category(folder.name)] = clouds
    if not found:
        expected = f"expected {root}/<category>.npz or {root}/<category>/<shape>.ply (or {' '.join(ENDINGS[1:])})"
        raise DataError(f"{root} holds no clouds for {split}ing: {expected}")
    if others:
        note(f"{root}: what is no cloud is left out: {named(others, root)}")
    if empty:
        note(f"{root}: without clouds for {split}ing, and so left out: {named(empty, root)}")
    return dict(sorted(found.items()))


def _of_split(root: Path, split: Split) -> Path | None:
    """The folder of this split, if the folder is divided into splits and nothing else."""
    names = {folder.name: folder for folder in folders_in(root)}
    if not names or not set(names) <= {name for known in FOLDERS.values() for name in known}:
        return None
    return next((names[name] for name in FOLDERS[split] if name in names), None)


def _shapes_of(folder: Path, split: Split) -> tuple[list[Path], list[Path]]:
    """The clouds and meshes of a category, of this split where they are divided, and the other files."""
    names = {inner.name: inner for inner in folders_in(folder)}
    if not set(names) & {name for known in FOLDERS.values() for name in known}:
        return find_clouds(folder)
    mine = next((names[name] for name in FOLDERS[split] if name in names), None)
    return find_clouds(mine) if mine else ([], [])


def _read(source: Source, note: Note) -> list[np.ndarray]:
    return [read_points(one, SPLIT_AT, seed, note) if isinstance(one, Path) else one for seed, one in enumerate(source)]


def _clouds_in(arrays: Mapping[str, np.ndarray], split: Split) -> np.ndarray | None:
    """Those of the split, those called points, or those of the only array that could be clouds."""
    named_so = next((arrays[name] for name in (f"{split}_points", "points") if name in arrays), None)
    others = [array for name, array in arrays.items() if name not in OF_SPLITS and _may_be_clouds(array)]
    return others[0] if named_so is None and len(others) == 1 else named_so


def _may_be_clouds(array: np.ndarray) -> bool:
    return array.ndim == 3 and array.shape[1] >= LEAST_POINTS and 3 <= array.shape[2] <= MOST_COLUMNS


def _checked_all(clouds: np.ndarray, file: Path, note: Note) -> list[np.ndarray]:
    if clouds.ndim != 3 or not len(clouds):
        raise DataError(f"{file} holds no clouds: their shape is {clouds.shape}, not (clouds, points, 3)")
    return [checked(cloud, f"cloud {index} of {file}", note) for index, cloud in enumerate(clouds)]
