"""Which clouds `ditkit eval` measures against which: runs as blocks of a row, and training shapes in their place.

Shapes: N clouds, P points of a cloud, R references.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.config.schema import EvalConfig
from ditkit.data.clouds import Clouds, Split, load_clouds, part
from ditkit.data.synsets import category
from ditkit.errors import DataError
from ditkit.files.listing import files_in
from ditkit.results.folder import RunFolder, finished_run, has_manifest
from ditkit.results.requests import blocks, check_same_model
from ditkit.shapes.clouds import ALWAYS, Note, ignore, read_points

REAL = "training shapes"


@dataclass(frozen=True)
class Block:
    """Clouds of one origin, by category; a run's with its request."""

    name: str
    clouds: Mapping[str, list[np.ndarray]]
    request: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Row:
    """Blocks of one category that one line of the table is about, beside what they are compared with, all of as many points."""

    name: str
    category: str
    blocks: Sequence[Tensor]
    references_RP3: Tensor
    first: Block | None = None


def read_block(target: str, categories: Sequence[str] = (), note: Note = ignore) -> Block:
    """The clouds of a finished run, of an .npz, of a folder of categories, or of a folder of clouds of the one category given."""
    path = Path(target)
    if has_manifest(path):
        return _run_block(path)
    if path.is_dir() and (files := [file for file in files_in(path) if file.suffix.lower() in (*ALWAYS, ".npy")]):
        if len(categories) != 1:
            raise DataError(f"{path} is a folder of clouds of which nothing says the category; add --category NAME")
        return Block(target, {categories[0]: [read_points(file, 10_000, seed, note) for seed, file in enumerate(files)]})
    loaded = load_clouds(path, "train", note=note)
    if loaded.class_names == (category(path.stem),) and len(categories) == 1:  # no labels: the category is the one asked for
        return Block(target, {categories[0]: list(loaded.points)})
    return Block(target, _by_category(loaded, "train"))


def _run_block(path: Path) -> Block:
    manifest = finished_run(path)
    if "clouds" not in manifest:
        raise DataError(f"{path} is a run of ditkit {manifest.get('command', 'sample')}, which makes no clouds; measure it on its own")
    found: dict[str, list[np.ndarray]] = {}
    for cloud in manifest["clouds"]:
        found.setdefault(cloud["class"], []).append(read_points(RunFolder(path).path / cloud["file"], 0))
    return Block(str(path), found, manifest["request"])


def rows_of(config: EvalConfig, note: Note = ignore) -> Iterator[Row]:
    """Every line of the table: rows of blocks by category, each followed by training shapes of that category if they are asked for."""
    asked_for = [category(name) for name in config.data.categories]
    given = [read_block(target, asked_for, note) for target in config.targets]
    check_same_model([(block.name, block.request) for block in given], across=config.across)
    wanted = asked_for or list(dict.fromkeys(name for block in given for name in block.clouds))
    references = _by_category(load_clouds(str(config.data.path), "test", wanted, note), "test")
    training = _by_category(load_clouds(str(config.data.path), "train", wanted, note), "train") if config.real else {}
    for name_of, known in references.items():
        asked = _grouped([block for block in given if name_of in block.clouds])
        firsts = {name: group[0] for name, group in asked}
        groups = [(name, [block.clouds[name_of] for block in group]) for name, group in asked]
        if not groups and not config.real:
            raise DataError(f"none of {', '.join(config.targets)} has clouds of category '{name_of}'")
        if config.real:
            groups.append((REAL, _shares(training[name_of], groups[0][1] if groups else [known], config.seed)))
        points = config.points or min(len(cloud) for _, group in [*groups, ("", [known])] for block in group for cloud in block)
        references_RP3 = _stacked(known, points, config)
        for name, group in groups:
            yield Row(name, name_of, [_stacked(block, points, config) for block in group], references_RP3, firsts.get(name))


def _shares(clouds: Sequence[np.ndarray], like: Sequence[Sequence[np.ndarray]], seed: int) -> list[list[np.ndarray]]:
    """As many training shapes as each block has samples, all different while there are enough for a further block."""
    order = np.random.default_rng(seed).permutation(len(clouds))
    size = max(2, len(like[0]))
    count = max(1, min(len(like), len(clouds) // size))
    return [[clouds[index] for index in order[start * size : (start + 1) * size]] for start in range(count)]


def _by_category(clouds: Clouds, split: Split) -> dict[str, list[np.ndarray]]:
    found: dict[str, list[np.ndarray]] = {name: [] for name in clouds.class_names}
    for cloud, label in zip(clouds.points, clouds.labels.tolist(), strict=True):
        found[clouds.class_names[label]].append(part(cloud, split))
    return found


def _stacked(clouds: Sequence[np.ndarray], points: int, config: EvalConfig) -> Tensor:
    """The clouds (N, P, 3) in the frame of the comparison, of the larger ones some points."""
    if few := [len(cloud) for cloud in clouds if len(cloud) < points]:
        raise DataError(f"points={points}, but there are clouds of {min(few)} points; take as many or fewer")
    chosen = []
    for index, cloud in enumerate(clouds):
        framed = _boxed(cloud) if config.frame == "box" else cloud
        some = np.random.default_rng((config.seed, index)).permutation(len(cloud))[:points]
        chosen.append(framed if len(cloud) == points else framed[some])
    return torch.from_numpy(np.stack(chosen)).float()


def _boxed(cloud_P3: np.ndarray) -> np.ndarray:
    low, high = cloud_P3.min(0), cloud_P3.max(0)
    return (cloud_P3 - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-12)


def _grouped(given: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """The blocks of each row, in the order given, under the first one's name."""
    groups = [[given[index] for index in group] for group in blocks([(block.name, block.request) for block in given])]
    return [(group[0].name + (f" and {len(group) - 1} more" if len(group) > 1 else ""), group) for group in groups]
