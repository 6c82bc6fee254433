"""`ditkit ground`: pictures with things in boxes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.codecs.codec import to_uint8
from ditkit.config.layouts import EXAMPLE, NAMED, shipped
from ditkit.config.schema import GroundConfig
from ditkit.data.box_prompts import read_box_prompts
from ditkit.engine.conditions import PromptTable
from ditkit.engine.denoiser import OnStep
from ditkit.engine.distributed import World
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.turns import Turns
from ditkit.errors import RequestError
from ditkit.grounding import rules as rule_sets
from ditkit.grounding.benchmarks import is_benchmark, layout_for
from ditkit.grounding.cost import extra_multiply_adds, gradient_bytes
from ditkit.grounding.draw import strip, with_boxes
from ditkit.grounding.layout import Layout
from ditkit.grounding.layout_file import as_data, layout_of, parse_layouts, read_layouts
from ditkit.grounding.phrases import check_words, tokens_of
from ditkit.grounding.regions import place
from ditkit.grounding.rules import Rules
from ditkit.grounding.sample import GroundedRequest, Scene, Watch, sample
from ditkit.models.prompts import Prompts
from ditkit.models.sizes import object_sizes, pixels_per_cell
from ditkit.models.spec import ModelSpec
from ditkit.results.folder import GRID_LIMIT, RunFolder
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.tasks.shared import build, costs, prompts, runs
from ditkit.tasks.shared.kind import Record


class GroundedPictures:
    """Images, each in a file; the same with their boxes drawn; if wanted a strip of what each was thought to be; a captioned grid."""

    command, samples, schema = "ground", "images", GroundConfig

    def check(self, config: GroundConfig, spec: ModelSpec) -> None:
        if spec.family != "pixart" or not spec.text:
            raise RequestError(f"{spec.name} cannot be grounded, which takes a PixArt, as pixart-emoji")
        if config.classes:
            raise RequestError(f"{spec.name} has no classes, it reads prompts; use --prompt in place of classes")
        if config.negative is not None and config.guidance == 1:
            raise RequestError("guidance 1 leads away from nothing; leave out --negative, or give a --guidance of more than 1")
        for layout in layouts(config):
            prompts.trained_shape(spec, layout.height, layout.width)
            check_words(layout)

    def request(
        self, config: GroundConfig, model: Model, plan: CachePlan | None, progress: Progress, world: World
    ) -> tuple[Model, GroundedRequest]:
        """The scenes with their phrases encoded, and the model for pictures of the first one's shape."""
        asked, rules = layouts(config), rules_of(config)
        models = [prompts.for_pictures(model, layout.height, layout.width) for layout in asked]
        phrases = list(dict.fromkeys(phrase.text for layout in asked for phrase in layout.phrases))
        words = [*(layout.prompt for layout in asked), *phrases]
        table = prompts.prompt_table(words, config.negative, prompts.reader(config), models[0], progress, world)
        shapes = [(sized.spec.sample_shape[1], sized.spec.sample_shape[2]) for sized in models]
        scenes = tuple(
            Scene(
                layout,
                shape,
                None if layout.height is None or layout.width is None else (layout.height, layout.width),
                tuple(2 * len(asked) + phrases.index(phrase.text) for phrase in layout.phrases),
                tokens,
            )
            for layout, shape, tokens in zip(asked, shapes, phrase_tokens(config, model, asked, rules), strict=True)
        )
        count = config.count or 1
        seeds = Turns(range(config.seed, config.seed + count), count * len(asked))
        arranged = _arranged(table, len(asked), [prompts.picture_size(sized.spec) for sized in models])
        plain = build.request(config, models[0], plan, seeds, arranged)
        labels = Turns(range(len(asked)), len(seeds), each=count)
        given = {field.name: getattr(plain, field.name) for field in fields(SamplingRequest)}
        return models[0], GroundedRequest(**{**given, "labels": labels}, scenes=scenes, rules=rules, recompute=config.recompute)

    def record(self, config: GroundConfig, request: SamplingRequest) -> Record:
        assert isinstance(request, GroundedRequest) and request.prompts
        said = {"negative": config.negative, "text_encoder": dict(request.prompts.origin)}
        strips = {"frames": config.frames} if config.frames else {}
        return {"layouts": [as_data(scene.layout) for scene in request.scenes], "rules": asdict(request.rules), **said, **strips}

    def sample(
        self, config: GroundConfig, model: Model, request: SamplingRequest, folder: RunFolder, batches: Sequence[range], on_step: OnStep
    ) -> Iterator[SampleBatch]:
        assert isinstance(request, GroundedRequest)
        last = len(request.solver.times) - 1
        frames = min(config.frames, last + 1)  # more would be the same ones again
        shown = {round(frame * last / max(frames - 1, 1)) for frame in range(frames)}
        believed: dict[int, dict[int, Tensor]] = {}

        def belief(indices: Sequence[int], evaluation: int, x0_BChw: Tensor) -> None:
            if evaluation in shown:
                for index, x0 in zip(indices, x0_BChw, strict=True):
                    believed.setdefault(index, {})[evaluation] = x0

        for batch in sample(model, request, batches, Watch(on_step, belief=belief if shown else None)):
            for index in batch.indices if shown else ():
                pictures = model.codec.decode(torch.stack(list(believed.pop(index).values())))
                folder.save_picture(_strip_file(folder, index), strip([_image(picture) for picture in pictures.float().cpu()]))
            yield batch

    def file(self, folder: RunFolder, index: int) -> Path:
        return folder.image_file(index)

    def save(self, config: GroundConfig, folder: RunFolder, index: int, sample: Tensor) -> None:
        layout = layouts(config)[index // (config.count or 1)]
        folder.save_picture(_boxed_file(folder, index), with_boxes(_image(sample), layout))
        folder.save_image(index, to_uint8(sample).movedim(0, -1).numpy())  # last: what says that the sample is there

    def finish(
        self, config: GroundConfig, folder: RunFolder, request: SamplingRequest, names: Sequence[str]
    ) -> tuple[list[Path], list[str]]:
        asked = layouts(config)
        boxed = [self._boxed(folder, index, asked[index // (config.count or 1)]) for index in range(min(len(names), GRID_LIMIT))]
        return [folder.save_grid(boxed, names)], []

    def _boxed(self, folder: RunFolder, index: int, layout: Layout) -> Image.Image:
        """The picture with its boxes, drawn again if that file is lost."""
        file = _boxed_file(folder, index)
        if not file.exists():
            folder.save_picture(file, with_boxes(folder.read_picture(folder.image_file(index)), layout))
        return folder.read_picture(file)


def run(config: GroundConfig, progress: Progress) -> Report:
    """Draw the layouts that the configuration asks for; pictures that are there already are not made again."""
    return runs.run(GroundedPictures(), with_layouts_read(config), progress)


def estimate(config: GroundConfig) -> Report:
    """What the run would cost, grounding included: multiply-adds and memory. Nothing is loaded, sampled or written."""
    return runs.estimate(GroundedPictures(), with_layouts_read(config), _cost)


def with_layouts_read(config: GroundConfig) -> GroundConfig:
    """The same with what is to be drawn as `layouts`, so that a manifest repeats it without a file."""
    if config.source is not None:
        return config
    given = {"--boxes": config.boxes, "--prompt": config.prompt, "layouts": config.layouts}
    said = [name for name, value in given.items() if value is not None]
    if len(said) > 1:
        raise RequestError(f"{' and '.join(said)} both say what to draw; give one of them")
    if config.box and config.prompt is None:
        raise RequestError("--box gives the box of a phrase of --prompt; say the prompt too, or put both into a file for --boxes")
    if (config.height or config.width) and config.prompt is None:
        raise RequestError("--size is of the picture of --prompt; a layout says its own width and height")
    if config.prompt is not None:
        found = (replace(layout_of(config.prompt, config.box), height=config.height, width=config.width),)
    elif config.boxes is not None:
        found = read_named(config.boxes)
    else:
        found = layouts(config)
    text = json.dumps([as_data(layout) for layout in found])
    return replace(config, boxes=None, prompt=None, box=[], height=None, width=None, layouts=text)


def read_named(boxes: str) -> tuple[Layout, ...]:
    """The layouts of a file, which may be a benchmark's, or of a name if there is no such file."""
    if is_benchmark(Path(boxes)):
        return tuple(map(layout_for, read_box_prompts(boxes)))
    if boxes in NAMED and not Path(boxes).exists():
        return parse_layouts(shipped(NAMED[boxes]), boxes, lines=NAMED[boxes].endswith(".jsonl"))
    return read_layouts(Path(boxes))


def layouts(config: GroundConfig) -> tuple[Layout, ...]:
    """What is to be drawn; the shipped example if nothing is said."""
    return parse_layouts(shipped(EXAMPLE) if config.layouts is None else config.layouts, "layouts")


def rules_of(config: GroundConfig) -> Rules:
    """The set of rules by its name, with what is said otherwise."""
    return rule_sets.named(**asdict(config.rules))


def phrase_tokens(config: GroundConfig, model: Model, asked: Sequence[Layout], rules: Rules) -> list[tuple[tuple[int, ...], ...]]:
    """The tokens of every layout's phrases; of a model without weights any, for its text encoder is not there either."""
    assert model.spec.text
    if model.device.type == "meta":
        return [((0,),) * len(layout.phrases) for layout in asked]
    pieces = prompts.pieces(prompts.reader(config), model.spec)
    return [tokens_of(layout, pieces, rules, prompts.encoder_of(model.spec).tokens) for layout in asked]


def _arranged(table: PromptTable, count: int, pictures: Sequence[tuple[int, int]]) -> PromptTable:
    """The first `count` prompts, a null prompt for each, for it is told the same picture's size, then the phrases."""
    others = len(table.texts) - count
    order = [*range(count), *[table.null[0]] * count, *range(count, count + others)]
    features, mask, told = table.rows
    if told is not None:
        own = [[height, width, height / width] for height, width in pictures]
        told = torch.tensor([*own, *own, *own[:1] * others], device=told.device)
    rows = Prompts(features[order], mask[order], told)
    return PromptTable(table.texts[:count], rows, tuple(range(count, 2 * count)), table.origin)


def extra_cost(model: Model, request: GroundedRequest, scene: Scene) -> int:
    """The multiply-adds that grounding adds to plain sampling of a scene."""
    network: Any = model.backbone
    cell, known, rows = pixels_per_cell(model.spec), object_sizes(model.spec), 2 if request.guidance != 1 else 1
    places = [place(box, *scene.shape, network.params.patch, cell, known, request.rules) for box in scene.layout.boxes]
    return extra_multiply_adds(network, scene.shape, places, request.rules, request.solver.steps, rows)


def _cost(model: Model, request: SamplingRequest, plain: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What the dearest scene costs, as facts and as data; `plain` is the multiply-adds of its main branch."""
    assert isinstance(request, GroundedRequest)
    network: Any = model.backbone
    itemsize = model.dtype.itemsize
    rules, copies = request.rules, len(request.seeds) // len(request.scenes)
    most = max(extra_cost(model, request, scene) for scene in request.scenes)
    pulled = bool(rules.pulls and rules.steps(request.solver.steps))
    alike = {(scene.shape, min(request.batch, copies)) for scene in request.scenes if pulled and scene.layout.boxes}
    memory = [gradient_bytes(network.params, shape, batch, rules, itemsize, recompute=request.recompute) for shape, batch in alike]
    kept = max(memory, default=0)
    peak = kept + costs.cache_bytes(model, request) + sum(value.numel() for value in network.parameters()) * itemsize
    facts = {
        "multiply-adds of grounding": f"at most {most / 1e9:.2f} G, {1 + most / plain:.2f}x the plain run in all",
        "memory for gradients": f"{kept / 2**20:.0f} MiB" + ("" if request.recompute or not kept else " (recompute=true needs less)"),
        "peak memory": f"{peak / 2**20:.0f} MiB: weights, cached outputs and gradients, beside prompts and one evaluation's own",
    }
    return facts, {"grounding_multiply_adds": most, "gradient_bytes": kept, "peak_bytes": peak}


def _image(picture: Tensor) -> Image.Image:
    return Image.fromarray(to_uint8(picture).movedim(0, -1).numpy())


def _boxed_file(folder: RunFolder, index: int) -> Path:
    return folder.path / "boxed" / f"{index:06d}.png"


def _strip_file(folder: RunFolder, index: int) -> Path:
    return folder.path / "steps" / f"{index:06d}.png"
