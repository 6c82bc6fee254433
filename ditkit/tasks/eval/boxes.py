"""Pictures for `ditkit eval` that were asked for with boxes, or with the prompts of a benchmark: is everything where it should be?"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.config.schema import EvalConfig
from ditkit.data.box_prompts import BoxPrompt, read_box_prompts
from ditkit.data.pictures import read_picture
from ditkit.data.scenes import Scene, Sprites, load_sprites, put_into_boxes
from ditkit.errors import DataError, OutputError, RequestError
from ditkit.grounding.layout import Layout
from ditkit.grounding.layout_file import layout_from
from ditkit.metrics import relations
from ditkit.metrics.detections import Detector
from ditkit.metrics.grounding import BoxJudge, BoxScore, CropJudge, DetectorJudge, Verdict, box_score, class_of, success_ratio
from ditkit.metrics.relations import BenchmarkScore
from ditkit.metrics.zero_shot import ZeroShotDetector
from ditkit.models.judge import JUDGED, load_judge
from ditkit.results.folder import RunFolder, has_manifest, read_manifest
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.eval.images import check_same_model
from ditkit.tasks.eval.report import PICTURED, Entry, Measured
from ditkit.tasks.shared import build

JUDGE = "judge"
REAL = "sprites in the boxes"
SCORED = "share of boxes without what they should hold, %"


@dataclass(frozen=True)
class Pictures:
    """One line of the table: pictures, read one at a time, and what each was asked to show."""

    name: str
    count: int
    picture: Callable[[int], Tensor]
    prompts: Sequence[str]
    layouts: Sequence[Layout] = ()
    request: Mapping[str, Any] | None = None
    files: Sequence[Path] = ()


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
        return _benchmark(config, sets, progress)
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
    return Measured(report, [_entry(result.pictures, 100 * (1 - result.score.success)) for result in results], SCORED)


def read_pictures(target: str, *, prompts: bool = False) -> Pictures:
    """The pictures of a finished run that was asked in words."""
    path = Path(target)
    if not has_manifest(path):
        raise DataError(f"{target} is no run folder; only a run says what was asked of its pictures")
    manifest = read_manifest(path / "manifest.json")
    if not manifest.get("complete"):
        raise OutputError(f"{path} is a run that is not finished; repeat its command, which goes on where it stopped")
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


def composed(like: Pictures, sprites: Sprites, seed: int) -> Pictures:
    """These drawings put into the boxes of the same layouts, which is what a perfect model could be judged by."""

    def picture(index: int) -> Tensor:
        layout, rng = like.layouts[index], np.random.default_rng((seed, index))
        labels = [class_of(text, sprites.class_names) for text in layout.texts]
        chosen = [int(rng.choice(np.flatnonzero(sprites.labels == label))) for label in labels]
        height, width = like.picture(index).shape[1:]
        scene: Scene = put_into_boxes(sprites, rng, chosen, layout.boxes, height, width)
        return from_uint8(torch.from_numpy(scene.image).movedim(-1, 0))

    return Pictures(REAL, like.count, picture, like.prompts, like.layouts)


def judge_of(detector: str, device: torch.device) -> BoxJudge:
    """The bundled judge, which is small and stays on the CPU, or the detector in a folder."""
    return _bundled() if detector == JUDGE else DetectorJudge(ZeroShotDetector(detector, device))


def _bundled() -> CropJudge:
    return CropJudge(load_judge(), build.known_classes(JUDGED))


def verdicts_on(pictures: Pictures, judge: BoxJudge, progress: Progress) -> list[list[Verdict]]:
    """The verdict on every box of every picture."""
    found = []
    for index, layout in enumerate(pictures.layouts):
        found.append(judge.judge(pictures.picture(index), layout.texts, layout.boxes))
        progress.advance()
    return found


def _judged(pictures: Pictures, judge: BoxJudge, config: EvalConfig, progress: Progress) -> Result:
    verdicts = verdicts_on(pictures, judge, progress)
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


def _entry(pictures: Pictures, score: float | None = None) -> Entry:
    return Entry(pictures.name, pictures.request, list(pictures.files[:PICTURED]), score=score)


def _picture(file: Path) -> Tensor:
    return from_uint8(torch.from_numpy(read_picture(file).copy()).movedim(-1, 0))


def _benchmark(config: EvalConfig, sets: Sequence[Pictures], progress: Progress) -> Measured:
    """The share of prompts that came out right by the benchmark's rules, by skill; of colours, the share of objects."""
    if config.real:
        raise RequestError("--real puts drawings into boxes, and a benchmark's rules look at none; leave out one of the two")
    prompts = read_box_prompts(str(config.prompts), relations.check)
    asked = {prompt.prompt: prompt for prompt in prompts if prompt.skill in relations.SKILLS}
    where = build.device(config.runtime)
    detector: Detector = _bundled() if config.detector == JUDGE else ZeroShotDetector(config.detector, where, least=relations.LEAST)
    progress.start(sum(each.count for each in sets), "pictures")
    scores = [(each, _scores(each, asked, detector, config, progress)) for each in sets]
    levels = sorted({level for _, by_skill in scores for score in by_skill.values() for level in score.levels})
    facts: dict[str, Cell] = {
        "prompts": str(config.prompts),
        "detector": config.detector,
        "intervals": f"95 %, bootstrap of {config.resamples} over pictures, of colours over objects",
        "seed": config.seed,
    }
    rows: list[list[Cell]] = []
    for each, by_skill in scores:
        for skill, score in by_skill.items():
            spread = f" [{score.interval.low:.1f}, {score.interval.high:.1f}]" if score.interval else ""
            by_level = [f"{score.levels[level]:.1f}" if level in score.levels else None for level in levels]
            rows.append([each.name, skill, score.count, f"{score.mean:.1f}{spread}", *by_level])
    columns = ["", "skill", "judged", "right, %", *(f"{level} objects" for level in levels)]
    data = {"protocol": facts, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
    return Measured(Report(f"eval {', '.join(config.targets)}", facts, columns, rows, data=data), [_entry(each) for each, _ in scores])


def _scores(
    pictures: Pictures, asked: Mapping[str, BoxPrompt], detector: Detector, config: EvalConfig, progress: Progress
) -> dict[str, BenchmarkScore]:
    answers: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for index, prompt in enumerate(pictures.prompts):
        if (wanted := asked.get(prompt)) is not None:
            picture = pictures.picture(index)
            found = detector.detect(picture, list(dict.fromkeys(wanted.objects)))
            answers[wanted.skill] += [(wanted.level, right) for right in relations.judged(wanted, found, picture)]
        progress.advance()
    if not answers:
        raise DataError(f"no picture of {pictures.name} was asked for with a prompt of {config.prompts} for which there is a rule")
    return {
        skill: relations.score([level for level, _ in each], [right for _, right in each], config.resamples, config.seed)
        for skill, each in answers.items()
    }
