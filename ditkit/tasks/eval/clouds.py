"""Clouds for `ditkit eval`: runs, and training shapes in their place, against the test shapes of the same category.

Shapes: N clouds, P points of a cloud, S samples, R references.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.config.schema import EvalConfig
from ditkit.data.clouds import Clouds, Split, load_clouds, part
from ditkit.errors import DataError, OutputError, RequestError
from ditkit.metrics import cloud_distances
from ditkit.metrics.bootstrap import Interval, of_blocks
from ditkit.metrics.cloud_distances import CloudDistance
from ditkit.metrics.clouds import Scores, occupancy_scores, pairs_to_measure, set_scores
from ditkit.results.folder import RunFolder, has_manifest, read_manifest
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.shapes.clouds import SUFFIXES, read_points
from ditkit.tasks.eval.images import check_same_model
from ditkit.tasks.eval.report import Entry, Measured

REAL = "training shapes"
BLOCKED = ("seeds", "labels", "batch")  # in what the runs of one row may differ: each is a block of it
SHARES = ("1-NNA", "COV", "JSD")  # cannot be more than 1; nothing here can be less than 0
COLUMNS = ("", "category", "distance", "clouds", "1-NNA %", "COV %", "MMD x 1000", "JSD")
INSIDE = 0.5  # radius of the ball that the divergence looks at
LIKE = (0.8, 1.25)  # sizes, samples to references, that need no word


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


@dataclass(frozen=True)
class Result:
    """One line: the scores of each block, and of all of them together."""

    row: Row
    distance: str
    blocks: Sequence[Scores]
    values: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)


def check(config: EvalConfig) -> None:
    """Raise `DataError` if there is nothing to compare clouds with."""
    if config.data.path is None:
        raise DataError("clouds are measured against others: --data shapes/ (.npz files, or clouds or meshes by category)")


def run(config: EvalConfig, progress: Progress) -> Measured:
    """Measure every target, those that differ in nothing but their seeds as blocks of one row; then training shapes, if asked."""
    check(config)
    distances = {name: cloud_distances.find(name) for name in config.distances}
    rows = list(_rows(config))
    total = sum(_pairs(row, distance, config) for row in rows for distance in distances.values())
    progress.start(total, "pairs of clouds")
    results = [_measured(row, name, distance, config, progress) for row in rows for name, distance in distances.items()]
    facts = _protocol(config, results)
    report = Report(
        title=f"eval {', '.join(config.targets) or REAL}",
        facts=facts,
        columns=COLUMNS,
        rows=[_line(result) for result in results],
        notes=[note for row in rows for note in _notes(row, config)],
        data={"protocol": facts, "rows": [_record(result) for result in results]},
    )
    return Measured(report, [_entry(result) for result in results if result.distance == config.distances[0]], "1-NNA, %")


def _entry(result: Result) -> Entry:
    first = result.row.first
    grid = Path(first.name) / "grid.png" if first and first.request else None
    name = f"{result.row.name}, {result.row.category}"
    return Entry(name, first.request if first else None, grid=grid if grid and grid.exists() else None, score=100 * result.values["1-NNA"])


def read_block(target: str, categories: Sequence[str] = ()) -> Block:
    """The clouds of a finished run, of an .npz, of a folder of categories, or of a folder of clouds of the one category given."""
    path = Path(target)
    if has_manifest(path):
        return _run_block(path)
    if path.is_dir() and (files := sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)):
        if len(categories) != 1:
            raise DataError(f"{path} is a folder of clouds of which nothing says the category; add --category NAME")
        return Block(target, {categories[0]: [read_points(file, 10_000, seed) for seed, file in enumerate(files)]})
    loaded = load_clouds(path, "train")
    if loaded.class_names == (path.stem,) and len(categories) == 1:  # no labels: the category is the one asked for
        return Block(target, {categories[0]: list(loaded.points)})
    return Block(target, _by_category(loaded, "train"))


def _run_block(path: Path) -> Block:
    manifest = read_manifest(path / "manifest.json")
    if not manifest.get("complete"):
        raise OutputError(f"{path} is a run that is not finished; repeat its command, which goes on where it stopped")
    if "clouds" not in manifest:
        raise DataError(f"{path} is a run of ditkit {manifest.get('command', 'sample')}, which makes no clouds; measure it on its own")
    found: dict[str, list[np.ndarray]] = {}
    for cloud in manifest["clouds"]:
        found.setdefault(cloud["class"], []).append(read_points(RunFolder(path).path / cloud["file"], 0))
    return Block(str(path), found, manifest["request"])


def _rows(config: EvalConfig) -> Iterator[Row]:
    """Every line of the table: rows of blocks by category, each followed by training shapes of that category if they are asked for."""
    blocks = [read_block(target, config.data.categories) for target in config.targets]
    check_same_model([(block.name, block.request) for block in blocks], across=config.across)
    wanted = config.data.categories or list(dict.fromkeys(name for block in blocks for name in block.clouds))
    references = _by_category(load_clouds(str(config.data.path), "test", wanted), "test")
    training = _by_category(load_clouds(str(config.data.path), "train", wanted), "train") if config.real else {}
    for category, known in references.items():
        asked = _grouped([block for block in blocks if category in block.clouds])
        firsts = {name: group[0] for name, group in asked}
        groups = [(name, [block.clouds[category] for block in group]) for name, group in asked]
        if not groups and not config.real:
            raise DataError(f"none of {', '.join(config.targets)} has clouds of category '{category}'")
        if config.real:
            groups.append((REAL, _shares(training[category], groups[0][1] if groups else [known], config.seed)))
        points = config.points or min(len(cloud) for _, group in [*groups, ("", [known])] for block in group for cloud in block)
        references_RP3 = _stacked(known, points, config)
        for name, group in groups:
            yield Row(name, category, [_stacked(block, points, config) for block in group], references_RP3, firsts.get(name))


def _grouped(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """The blocks by what was asked of the model, in the order given; whatever is no run stands alone."""
    groups: list[list[Block]] = []
    for block in blocks:
        mine = [group for group in groups if block.request and group[0].request and _asked(group[0]) == _asked(block)]
        (mine[0] if mine else groups.append([]) or groups[-1]).append(block)
    for group in groups:
        _check_seeds(group)
    return [(group[0].name + (f" and {len(group) - 1} more" if len(group) > 1 else ""), group) for group in groups]


def _asked(block: Block) -> dict[str, Any]:
    return {key: value for key, value in (block.request or {}).items() if key not in BLOCKED}


def _check_seeds(group: Sequence[Block]) -> None:
    seen: dict[tuple[int, int], str] = {}
    for block in group:
        for made in zip((block.request or {}).get("labels", ()), (block.request or {}).get("seeds", ()), strict=True):
            if made in seen:
                raise RequestError(
                    f"{seen[made]} and {block.name} both have seed {made[1]}; blocks must not share samples: give other seeds"
                )
            seen[made] = block.name


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


def _pairs(row: Row, distance: CloudDistance, config: EvalConfig) -> int:
    sizes = [len(block) for block in row.blocks]
    count = len(row.references_RP3)
    own = 0 if _batch(config) else (len(sizes) - 1) * pairs_to_measure(0, count, distance)  # measured once, whatever the blocks
    return sum(pairs_to_measure(size, count, distance, _batch(config)) for size in sizes) - own


def _batch(config: EvalConfig) -> int | None:
    return config.batch if config.protocol == "batches" else None


def _measured(row: Row, name: str, distance: CloudDistance, config: EvalConfig, progress: Progress) -> Result:
    references = row.references_RP3
    own_RR = None if _batch(config) else cloud_distances.within(references, distance, progress.advance)
    factor = INSIDE / references.norm(dim=2).max()
    blocks = []
    for samples in row.blocks:
        near = set_scores(samples, references, distance, _batch(config), config.resamples, config.seed, progress.advance, own_RR)
        space = occupancy_scores(samples * factor, references * factor, _batch(config), config.resamples, config.seed)
        blocks.append(Scores(near.estimator, near.protocol, near.values | space.values, near.intervals | space.intervals))
    if len(blocks) == 1:
        return Result(row, name, blocks, blocks[0].values, blocks[0].intervals)
    over = {key: [block.values[key] for block in blocks] for key in blocks[0].values}
    values = {key: sum(each) / len(each) for key, each in over.items()}
    return Result(row, name, blocks, values, {key: _over_blocks(key, each) for key, each in over.items()})


def _over_blocks(key: str, values: Sequence[float]) -> Interval:
    low, high = of_blocks(values)
    return Interval(max(low, 0.0), min(high, 1.0) if key.startswith(SHARES) else high)


def _line(result: Result) -> list[Cell]:
    sizes = sorted({len(block) for block in result.row.blocks})
    blocks = f"{len(result.row.blocks)} x " if len(result.row.blocks) > 1 else ""
    clouds = f"{blocks}{'/'.join(map(str, sizes))} : {len(result.row.references_RP3)}"
    cells = [_cell(result, key, factor) for key, factor in (("1-NNA", 100), ("COV", 100), ("MMD", 1000), ("JSD", 1))]
    return [result.row.name, result.row.category, result.distance, clouds, *cells]


def _cell(result: Result, key: str, factor: float) -> str:
    low, high = result.intervals[key]
    return f"{result.values[key] * factor:.4g} [{low * factor:.4g}, {high * factor:.4g}]"


def _record(result: Result) -> dict[str, Any]:
    return {
        "name": result.row.name,
        "category": result.row.category,
        "distance": result.distance,
        "estimator": result.blocks[0].estimator,
        "protocol": result.blocks[0].protocol,
        "samples": [len(block) for block in result.row.blocks],
        "references": len(result.row.references_RP3),
        "points": result.row.references_RP3.shape[1],
        "values": dict(result.values),
        "intervals": {key: list(interval) for key, interval in result.intervals.items()},
        "blocks": [dict(block.values) for block in result.blocks],
    }


def _protocol(config: EvalConfig, results: Sequence[Result]) -> dict[str, Cell]:
    first = results[0]
    frames = {"data": "as the data has them, nothing is normalised", "box": "each cloud's bounding box centred, largest half-extent 1"}
    estimators = dict.fromkeys(result.blocks[0].estimator for result in results)
    several = any(len(result.blocks) > 1 for result in results)
    return {
        "references": f"test shapes of {config.data.path}",
        "distance": "; ".join(estimators),
        "protocol": first.blocks[0].protocol,
        "points of a cloud": ", ".join(sorted({str(result.row.references_RP3.shape[1]) for result in results})),
        "coordinates": frames[config.frame],
        "JSD": "both sides scaled by one factor so that the references just fit the ball of radius 0.5",
        "intervals": "95 %, "
        + ("Student's t over blocks; " if several else "")
        + f"bootstrap of {config.resamples} over clouds"
        + (" where there is one block" if several else ""),
        "seed": config.seed,
    }


def _notes(row: Row, config: EvalConfig) -> Iterator[str]:
    """What a reader should know before the numbers are believed."""
    count = len(row.references_RP3)
    if any(len(block) != count for block in row.blocks):
        sizes = ", ".join(map(str, sorted({len(block) for block in row.blocks})))
        yield f"{row.name}, {row.category}: {sizes} samples for {count} references; 1-NNA means most where both are as many"
    ratio = float(torch.cat(list(row.blocks)).abs().amax((1, 2)).median() / row.references_RP3.abs().amax((1, 2)).median())
    if config.frame == "data" and not LIKE[0] <= ratio <= LIKE[1]:
        yield f"{row.name}, {row.category}: samples are {ratio:.2f} times as large as references; if only their shape counts, frame=box"
