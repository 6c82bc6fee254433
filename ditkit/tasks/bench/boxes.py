"""`ditkit bench --boxes`: what enforcing boxes costs in units of plain sampling, and how many boxes then hold what they should."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ditkit.codecs.codec import to_uint8
from ditkit.config.schema import BenchConfig, GroundConfig
from ditkit.data.sprites import load_sprites
from ditkit.engine.denoiser import OnStep
from ditkit.engine.distributed import World
from ditkit.engine.model import Model
from ditkit.engine.race import Contender, Outcome, race
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.errors import RequestError
from ditkit.files.atomic import write_atomically
from ditkit.grounding import rules as rule_sets
from ditkit.grounding.draw import with_boxes
from ditkit.grounding.layout import Layout
from ditkit.grounding.sample import GroundedRequest, Watch, sample
from ditkit.metrics.bootstrap import Interval
from ditkit.metrics.grounding import BoxScore, Verdict, box_score, success_ratio
from ditkit.models import registry
from ditkit.results.folder import library_versions
from ditkit.results.page import Code, Figure, Page, Protocol, Section, Table, write_page
from ditkit.results.page import Pictures as Shown
from ditkit.results.plots import ParetoPoint, draw_pareto
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.ground import GroundedPictures, extra_cost, phrase_tokens, with_layouts_read
from ditkit.tasks.shared import build
from ditkit.tasks.shared.boxes import JUDGE, REAL, Pictures, composed, judge_of, scattered, verdicts_on
from ditkit.tasks.shared.command_line import command_line

PLAIN = "plain"
JUDGED_TEXTS = ("t5-emoji",)  # text encoders of models that draw what the bundled judge knows
PICTURED = 8
NOTE = (
    "cost: seconds in units of plain sampling of the same layout, median; multiply-adds likewise, mean; success: the box holds what it "
    "should; times plain: ratio of successes; intervals: 95 % bootstrap over layouts, paired for ratios."
)


@dataclass(frozen=True)
class Success:
    """What a judge says of all boxes, and how many times the successes of plain sampling that is."""

    score: BoxScore
    ratio: float | None
    ratio_interval: Interval | None


@dataclass(frozen=True)
class Score:
    """What one set of rules costs in units of plain sampling, by the number of a layout's boxes and over all, and what it brings."""

    name: str
    seconds: float | None
    cost: float | None
    cost_by_boxes: dict[int, float]
    multiply_adds: float | None
    success: Success | None


def run(config: BenchConfig, progress: Progress) -> Report:
    """Draw the same layouts by every set of rules in turns; write the numbers, the plot and the page."""
    ground = with_layouts_read(_ground(config))
    kind = GroundedPictures()
    kind.check(ground, registry.find(config.model))
    name = _judge(config)
    judge = judge_of(name, build.device(config.runtime)) if name else None
    sprites = load_sprites(config.reference) if judge and config.reference else None
    model, request = kind.request(ground, build.model(config, progress), None, progress, World())
    asked = _in_turn(request, config)
    layouts = [asked.scenes[label].layout for label in asked.labels]
    if judge:
        judge.check([text for layout in layouts for text in layout.texts])
    entries = [_contender(rules, ground, model, asked) for rules in dict.fromkeys((PLAIN, *config.rules))]
    progress.start(sum(len(layouts) * len(entry.request.solver.times) for entry in entries), "drawing in turns")
    outcomes = race(entries, progress.advance)
    sets = [_decoded(entry.name, model, outcome, layouts) for entry, outcome in zip(entries, outcomes, strict=True)]
    drawings = [made(sets[0], sprites, config.seed) for made in (scattered, composed)] if sprites else []
    verdicts: list[list[list[Verdict]]] = []
    if judge:
        judged = [*sets, *drawings]
        progress.start(sum(each.count for each in judged), "pictures judged")
        verdicts = [verdicts_on(each, judge, progress.advance) for each in judged]
    scores = [_score(place, entries, outcomes, layouts, verdicts) for place in range(len(entries))]
    scores += [Score(each.name, None, None, {}, None, _success(place, verdicts)) for place, each in enumerate(drawings, len(entries))]
    return _finish(config, name, scores, sets)


def _ground(config: BenchConfig) -> GroundConfig:
    """The same as a run of `ditkit ground`."""
    shared = {field.name for field in fields(BenchConfig)} & {field.name for field in fields(GroundConfig)}
    given = {name: getattr(config, name) for name in shared - {"count", "out", "batch", "rules", "prompts"}}
    return GroundConfig(**given, count=1, batch=1)


def _judge(config: BenchConfig) -> str | None:
    known = JUDGE if registry.find(config.model).text in JUDGED_TEXTS else None
    if config.reference and not (config.detector or known):
        raise RequestError(f"drawings of {config.reference} are put into boxes for a judge; say which with detector=FOLDER")
    return config.detector or known


def _in_turn(request: SamplingRequest, config: BenchConfig) -> GroundedRequest:
    """Layouts in turn, a picture at a time as the network makes it, each from noise of its own: that of one seed may suit a thing."""
    assert isinstance(request, GroundedRequest)
    many = len(request.scenes)
    count = config.count or many
    if count < 2:
        raise RequestError("a comparison needs at least 2 pictures: give more layouts, or --count 2 or more")
    labels, seeds = [index % many for index in range(count)], range(config.seed, config.seed + count)
    scenes = tuple(replace(scene, picture=None) for scene in request.scenes)
    return replace(request, labels=tuple(labels), seeds=tuple(seeds), scenes=scenes, batch=1)


def _contender(name: str, config: GroundConfig, model: Model, request: GroundedRequest) -> Contender:
    rules = rule_sets.named(name)
    found = phrase_tokens(config, model, [scene.layout for scene in request.scenes], rules)
    scenes = tuple(replace(scene, tokens=own) for scene, own in zip(request.scenes, found, strict=True))
    return Contender(name, name, model, replace(request, rules=rules, scenes=scenes), _sampler)


def _sampler(model: Model, request: SamplingRequest, on_step: OnStep | None) -> Iterator[SampleBatch]:
    assert isinstance(request, GroundedRequest)
    return sample(model, request, watch=Watch(on_step))


@torch.inference_mode()
def _decoded(name: str, model: Model, outcome: Outcome, layouts: Sequence[Layout]) -> Pictures:
    made = [model.codec.decode(latents.to(model.device)).float().cpu()[0] for latents in outcome.batches]
    return Pictures(name, len(made), made.__getitem__, [layout.prompt for layout in layouts], layouts)


def _score(
    place: int, entries: Sequence[Contender], outcomes: Sequence[Outcome], layouts: Sequence[Layout], verdicts: Sequence[Any]
) -> Score:
    entry, mine, plain = entries[place], outcomes[place].seconds, outcomes[0].seconds
    ratios = [own / theirs for own, theirs in zip(mine, plain, strict=True)]
    timed = layouts[-len(ratios) :]
    boxes = sorted({len(layout.boxes) for layout in timed})
    by_boxes = {n: median(ratio for ratio, layout in zip(ratios, timed, strict=True) if len(layout.boxes) == n) for n in boxes}
    success = _success(place, verdicts) if verdicts else None
    return Score(entry.name, median(mine), median(ratios), by_boxes, _multiply_adds(entry), success)


def _multiply_adds(entry: Contender) -> float:
    """The mean over the pictures, in units of plain sampling."""
    request = entry.request
    assert isinstance(request, GroundedRequest)
    network: Any = entry.model.backbone
    patch, rows = network.params.patch, 2 if request.guidance != 1 else 1
    relative = []
    for scene in request.scenes:
        plain = sum(network.multiply_adds(*(side // patch for side in scene.shape)).values()) * len(request.solver.times) * rows
        relative.append(1 + extra_cost(entry.model, request, scene) / plain)
    return sum(relative[label] for label in request.labels) / len(request.labels)


def _success(place: int, verdicts: Sequence[Sequence[Sequence[Verdict]]]) -> Success:
    ratio, interval = success_ratio(verdicts[place], verdicts[0]) if place else (None, None)
    return Success(box_score(verdicts[place]), ratio, interval)


def _finish(config: BenchConfig, judge: str | None, scores: Sequence[Score], sets: Sequence[Pictures]) -> Report:
    folder = Path(config.out)
    numbers, plot, page = (folder / name for name in ("bench.json", "pareto.png", "report.html"))
    command = command_line("bench", config, [config.model], ("model",))
    record = {"command": command, "config": asdict(config), "versions": library_versions(), "scores": list(map(asdict, scores))}
    write_atomically(numbers, lambda path: path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8"))
    points = [
        ParetoPoint(each.name, each.cost, 1 - each.success.score.success, each.name, (1 - high, 1 - low))
        for each in scores
        if each.cost and each.success
        for low, high in (each.success.score.success_interval,)
    ]
    if points:
        draw_pareto(points, plot, "cost, in units of plain sampling", "share of boxes without what they should hold", title=config.model)
    real = next((each.success.score.success for each in scores if each.name == REAL and each.success), None)
    columns, rows = _table(scores, real)
    facts: dict[str, Cell] = {
        "pictures": sets[0].count,
        "boxes": sum(len(layout.boxes) for layout in sets[0].layouts),
        "judge": judge or "none: cost only",
        "threads": torch.get_num_threads(),
        "precision": config.runtime.precision,
    }
    sections: list[Section] = [Table("Cost and success", columns, rows, note=NOTE, reference=[0])]
    sections += [Figure("Failures against cost", plot.read_bytes(), "Below and to the left is better.")] if points else []
    sections += [_shown(sets), Protocol("How it was measured", {**facts, **library_versions()}), Code("The same again", command)]
    intro = "Every row draws the same layouts with the same seeds, each layout its own, one picture at a time, all rows in turns."
    write_page(Page(f"ditkit bench: boxes by {config.model}", intro, tuple(sections)), page)
    return Report(f"bench {config.model}", facts, columns, rows, [numbers, *([plot] if points else []), page], [NOTE], record)


def _table(scores: Sequence[Score], real: float | None) -> tuple[list[str], list[list[Cell]]]:
    counts = sorted({boxes for score in scores for boxes in score.cost_by_boxes})
    columns = ["", "s/image", "multiply-adds", "cost", *(f"{boxes} box{'es' if boxes > 1 else ''}" for boxes in counts)]
    judged = any(score.success for score in scores)
    columns += ["success %", "mean IoU", "times plain"] if judged else []
    columns += ["% of real"] if real else []
    return columns, [_row(score, counts, real)[: len(columns)] for score in scores]


def _row(score: Score, counts: Sequence[int], real: float | None) -> list[Cell]:
    row: list[Cell] = [score.name, _or_blank(score.seconds, ".3f"), _or_blank(score.multiply_adds, ".2f"), _or_blank(score.cost, ".2f")]
    row += [_or_blank(score.cost_by_boxes.get(boxes), ".2f") for boxes in counts]
    if score.success:
        its = score.success.score
        (low, high), (least, most) = its.success_interval, its.overlap_interval
        row += [f"{100 * its.success:.1f} [{100 * low:.1f}, {100 * high:.1f}]", f"{its.overlap:.3f} [{least:.3f}, {most:.3f}]"]
        times = score.success.ratio_interval
        row.append(f"{score.success.ratio:.2f} [{times.low:.2f}, {times.high:.2f}]" if times else None)
        row.append(f"{100 * its.success / real:.0f}" if real else None)
    return row


def _or_blank(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def _shown(sets: Sequence[Pictures]) -> Shown:
    rows = [(each.name, [_png(each.picture(index), each.layouts[index]) for index in range(min(PICTURED, each.count))]) for each in sets]
    return Shown("The same layouts and seeds", list(sets[0].prompts[:PICTURED]), rows)


def _png(picture: Tensor, layout: Layout) -> bytes:
    buffer = io.BytesIO()
    with_boxes(Image.fromarray(to_uint8(picture).movedim(0, -1).numpy()), layout).save(buffer, format="png")
    return buffer.getvalue()
