"""Clouds for `ditkit eval`: runs, and training shapes in their place, against the test shapes of the same category.

Shapes: N clouds, P points of a cloud, S samples, R references.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ditkit.config.schema import EvalConfig
from ditkit.errors import DataError
from ditkit.metrics import cloud_distances
from ditkit.metrics.bootstrap import Interval, of_blocks
from ditkit.metrics.cloud_distances import CloudDistance
from ditkit.metrics.clouds import Scores, occupancy_scores, pairs_to_measure, set_scores
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.eval.cloud_rows import REAL, Row, rows_of
from ditkit.tasks.eval.report import Entry, Measured

SHARES = ("1-NNA", "COV", "JSD")  # cannot be more than 1; nothing here can be less than 0
COLUMNS = ("", "category", "distance", "clouds", "1-NNA %", "COV %", "MMD x 1000", "JSD")
INSIDE = 0.5  # radius of the ball that the divergence looks at
LIKE = (0.8, 1.25)  # sizes, samples to references, that need no word


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
    notes: list[str] = []
    rows = list(rows_of(config, notes.append))
    total = sum(_pairs(row, distance, config) for row in rows for distance in distances.values())
    progress.start(total, "pairs of clouds")
    results = [_measured(row, name, distance, config, progress) for row in rows for name, distance in distances.items()]
    facts = _protocol(config, results)
    report = Report(
        title=f"eval {', '.join(config.targets) or REAL}",
        facts=facts,
        columns=COLUMNS,
        rows=[_line(result) for result in results],
        notes=[*dict.fromkeys(notes), *(note for row in rows for note in _notes(row, config))],
        data={"protocol": facts, "rows": [_record(result) for result in results]},
    )
    return Measured(report, [_entry(result) for result in results if result.distance == config.distances[0]], "1-NNA, %")


def _entry(result: Result) -> Entry:
    first = result.row.first
    grid = Path(first.name) / "grid.png" if first and first.request else None
    name = f"{result.row.name}, {result.row.category}"
    low, high = result.intervals["1-NNA"]
    grid = grid if grid and grid.exists() else None
    return Entry(name, first.request if first else None, grid=grid, score=100 * result.values["1-NNA"], interval=(100 * low, 100 * high))


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
