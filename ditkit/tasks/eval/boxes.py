"""Pictures for `ditkit eval` that were asked for with boxes, or with the prompts of a benchmark: is everything where it should be?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.config.schema import EvalConfig
from ditkit.data.pictures import read_picture
from ditkit.data.sprites import load_sprites
from ditkit.errors import DataError, RequestError
from ditkit.grounding.layout_file import layout_from
from ditkit.metrics.grounding import BoxJudge, BoxScore, Verdict, box_score, success_ratio
from ditkit.results.folder import RunFolder, finished_run, has_manifest, read_manifest
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.eval.benchmark import benchmark
from ditkit.tasks.eval.images import check_same_model
from ditkit.tasks.eval.report import Entry, Measured, pictured
from ditkit.tasks.shared import build
from ditkit.tasks.shared.boxes import JUDGE, Pictures, composed, judge_of, verdicts_on

SCORED = "share of boxes without what they should hold, %"


@dataclass(frozen=True)
class Result:
    """A line's verdicts on every box of every picture, and what they come to."""

    pictures: Pictures
    verdicts: Sequence[Sequence[Verdict]]
    score: BoxScore


def has_boxes(target: Path) -> bool:
    """Whether this is a run of grounded pictures."""
    return has_manifest(target) and "layouts" in read_manifest(target / "manifest.json").get("request", {})


def run(config: EvalConfig, progress: Progress) -> Measured:
    """Measure boxes, or, if a benchmark's prompts are given, its rules."""
    sets = [read_pictures(target, prompts=config.prompts is not None) for target in config.targets]
    check_same_model([(each.name, each.request) for each in sets], across=config.across)
    if config.prompts is not None:
        return benchmark(config, sets, progress)
    if plain := next((each.name for each in sets if not each.layouts), None):
        raise DataError(f"{plain} was not asked for boxes; measure runs of ditkit ground, or give a benchmark's prompts=FILE")
    if config.data.path is not None and not config.real:
        raise RequestError("boxes are measured without data; leave out --data, or add --real to put its drawings into the boxes")
    if config.real and config.data.path is None:
        raise DataError("--real puts real drawings into the boxes: say which with --data SPRITES.npz")
    judge = judge_of(config.detector, build.device(config.runtime))
    sets += [composed(sets[0], load_sprites(str(config.data.path)), config.seed)] if config.real else []
    progress.start(sum(each.count for each in sets), "pictures")
    results = [_judged(each, judge, config, progress) for each in sets]
    facts = _protocol(config)
    report = Report(
        title=f"eval {', '.join(config.targets)}",
        facts=facts,
        columns=["", "pictures", "boxes", "success %", "mean IoU", f"times {sets[0].name}", *(["% of real"] if config.real else [])],
        rows=[_line(result, results, config) for result in results],
        data={"protocol": facts, "rows": [_record(result, results[0], config) for result in results]},
    )
    return Measured(report, [_entry(result) for result in results], SCORED)


def _entry(result: Result) -> Entry:
    low, high = result.score.success_interval
    return pictured(result.pictures, 100 * (1 - result.score.success), (100 * (1 - high), 100 * (1 - low)))


def read_pictures(target: str, *, prompts: bool = False) -> Pictures:
    """The pictures of a finished run that was asked in words."""
    path = Path(target)
    if not has_manifest(path):
        raise DataError(f"{target} is no run folder; only a run says what was asked of its pictures")
    manifest = finished_run(path)
    if not all("prompt" in image for image in manifest.get("images", [{}])):
        alone = ", without prompts=" if prompts else ""
        raise DataError(f"{path} is a run whose pictures were not asked for in words; measure it on its own{alone}")
    images, request = manifest["images"], manifest["request"]
    layouts = [layout_from(data, str(path)) for data in request.get("layouts", ())]
    files = [RunFolder(path).path / image["file"] for image in images]
    return Pictures(
        target,
        len(files),
        lambda index: _picture(files[index]),
        [image["prompt"] for image in images],
        [layouts[image["label"]] for image in images] if layouts else (),
        request,
        files,
    )


def _judged(pictures: Pictures, judge: BoxJudge, config: EvalConfig, progress: Progress) -> Result:
    verdicts = verdicts_on(pictures, judge, progress.advance)
    return Result(pictures, verdicts, box_score(verdicts, config.resamples, config.seed))


def _same_boxes(one: Result, other: Result) -> bool:
    return [len(verdicts) for verdicts in one.verdicts] == [len(verdicts) for verdicts in other.verdicts]


def _line(result: Result, results: Sequence[Result], config: EvalConfig) -> list[Cell]:
    score, first = result.score, results[0]
    (low, high), (least, most) = score.success_interval, score.overlap_interval
    cells: list[Cell] = [result.pictures.name, result.pictures.count, score.boxes]
    cells += [f"{100 * score.success:.1f} [{100 * low:.1f}, {100 * high:.1f}]", f"{score.overlap:.3f} [{least:.3f}, {most:.3f}]"]
    cells.append(_times(result, first, config))
    if config.real:
        real = results[-1].score.success
        cells.append(f"{100 * score.success / real:.0f}" if real else None)
    return cells


def _times(result: Result, first: Result, config: EvalConfig) -> str | None:
    if result is first or not _same_boxes(result, first):
        return None
    ratio, (low, high) = success_ratio(result.verdicts, first.verdicts, config.resamples, config.seed)
    return f"{ratio:.2f} [{low:.2f}, {high:.2f}]"


def _record(result: Result, first: Result, config: EvalConfig) -> dict[str, Any]:
    score, request = result.score, result.pictures.request or {}
    paired = None if not _same_boxes(result, first) else success_ratio(result.verdicts, first.verdicts, config.resamples, config.seed)
    return {
        "name": result.pictures.name,
        "pictures": result.pictures.count,
        "boxes": score.boxes,
        "model": request.get("model"),
        "rules": request.get("rules"),
        "values": {"success": score.success, "mean IoU": score.overlap},
        "intervals": {"success": list(score.success_interval), "mean IoU": list(score.overlap_interval)},
        "times the first": None if paired is None else {"ratio": paired[0], "interval": list(paired[1])},
    }


def _protocol(config: EvalConfig) -> dict[str, Cell]:
    bundled = (
        "the bundled judge names the box's crop; IoU with the windows it is sure of"
        if config.detector == JUDGE
        else f"a detection by {config.detector} overlaps the box by half"
    )
    return {
        "success": bundled,
        "intervals": f"95 %, bootstrap of {config.resamples} over pictures, ratios paired",
        "seed": config.seed,
    }


def _picture(file: Path) -> Tensor:
    return from_uint8(torch.from_numpy(read_picture(file).copy()).movedim(-1, 0))
