"""`ditkit sample`: pictures from a model."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.codecs.codec import to_uint8
from ditkit.config.schema import SampleConfig
from ditkit.engine import sampler
from ditkit.engine.denoiser import OnStep
from ditkit.engine.distributed import World
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.models import registry
from ditkit.models.spec import ModelSpec
from ditkit.results.folder import GRID_LIMIT, RunFolder
from ditkit.results.progress import NoProgress, Progress
from ditkit.results.report import Report
from ditkit.tasks.shared import build, prompts, runs
from ditkit.tasks.shared.kind import Record


class Pictures:
    """Images, each in a file, and a captioned grid of the first ones."""

    command, samples, schema = "sample", "images", SampleConfig

    def check(self, config: SampleConfig, spec: ModelSpec) -> None:
        build.check_makes_pictures(spec)
        prompts.check_asked(config, spec)

    def request(
        self, config: SampleConfig, model: Model, plan: CachePlan | None, progress: Progress, world: World
    ) -> tuple[Model, SamplingRequest]:
        return request(config, model, plan, progress=progress, world=world)

    def record(self, config: SampleConfig, request: SamplingRequest) -> Record:
        if request.prompts is None:
            return {}
        said = {"prompts": list(request.prompts.texts), "negative": config.negative, "text_encoder": dict(request.prompts.origin)}
        return {**said, "size": request.picture}

    def sample(
        self, config: SampleConfig, model: Model, request: SamplingRequest, folder: RunFolder, batches: Sequence[range], on_step: OnStep
    ) -> Iterator[SampleBatch]:
        return sampler.sample(model, request, batches, on_step, overlap=True)

    def file(self, folder: RunFolder, index: int) -> Path:
        return folder.image_file(index)

    def save(self, config: SampleConfig, folder: RunFolder, index: int, sample: Tensor) -> None:
        folder.save_image(index, to_uint8(sample).movedim(0, -1).numpy())

    def finish(
        self, config: SampleConfig, folder: RunFolder, request: SamplingRequest, names: Sequence[str]
    ) -> tuple[list[Path], list[str]]:
        shown = range(min(len(names), GRID_LIMIT))
        grid = folder.save_grid([folder.read_picture(folder.image_file(index)) for index in shown], names)
        shape = prompts.trained_shape(registry.find(config.model), config.height, config.width)
        if shape is None or request.picture == (shape.height, shape.width):
            return [grid], []
        return [grid], [f"made at {shape.height}x{shape.width}, the nearest trained shape, then scaled and cropped"]


def request(
    config: SampleConfig,
    model: Model,
    plan: CachePlan | None = None,
    seeds: Sequence[int] | None = None,
    *,
    progress: Progress | None = None,
    world: World | None = None,
) -> tuple[Model, SamplingRequest]:
    """What is asked, with the prompts encoded, and the model for pictures of the size that is asked for."""
    if not model.spec.text:
        return model, build.request(config, model, plan, seeds)
    shaped = prompts.for_pictures(model, config.height, config.width)
    table = prompts.prompt_table(config.prompts, config.negative, prompts.reader(config), shaped, progress or NoProgress(), world)
    wanted = build.request(config, shaped, plan, seeds, table)
    if shaped is model:
        return model, wanted
    return shaped, replace(wanted, picture=(config.height or model.spec.image_size, config.width or model.spec.image_size))


def run(config: SampleConfig, progress: Progress) -> Report:
    """Draw what the configuration asks for; pictures that are there already are not made again."""
    return runs.run(Pictures(), prompts.with_file_read(config), progress)


def estimate(config: SampleConfig) -> Report:
    """What the run would cost: multiply-adds with and without the plan, and memory. Nothing is loaded, sampled or written."""
    return runs.estimate(Pictures(), prompts.with_file_read(config))
