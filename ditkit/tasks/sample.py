"""`ditkit sample`: pictures from a model."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.codecs.codec import to_uint8
from ditkit.config.schema import SampleConfig
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.models.spec import ModelSpec
from ditkit.outputs import GRID_LIMIT, RunFolder
from ditkit.progress import Progress
from ditkit.report import Report
from ditkit.tasks import build, runs
from ditkit.tasks.runs import Record


class Pictures:
    """Images, each in a file, and a captioned grid of the first ones."""

    command, samples, schema = "sample", "images", SampleConfig

    def check(self, spec: ModelSpec) -> None:
        build.check_makes_pictures(spec)

    def request(self, config: SampleConfig, model: Model, plan: CachePlan | None) -> tuple[Model, SamplingRequest]:
        return model, build.request(config, model, plan)

    def record(self, config: SampleConfig, request: SamplingRequest) -> Record:
        return {}

    def file(self, folder: RunFolder, index: int) -> Path:
        return folder.image_file(index)

    def save(self, config: SampleConfig, folder: RunFolder, index: int, sample: Tensor) -> None:
        folder.save_image(index, to_uint8(sample).movedim(0, -1).numpy())

    def finish(
        self, config: SampleConfig, folder: RunFolder, request: SamplingRequest, names: Sequence[str]
    ) -> tuple[list[Path], list[str]]:
        shown = range(min(len(names), GRID_LIMIT))
        return [folder.save_grid([Image.open(folder.image_file(index)).convert("RGB") for index in shown], names)], []


def run(config: SampleConfig, progress: Progress) -> Report:
    """Draw what the configuration asks for; pictures that are there already are not made again."""
    return runs.run(Pictures(), config, progress)


def estimate(config: SampleConfig) -> Report:
    """What the run would cost: multiply-adds with and without the plan, and memory. Nothing is loaded, sampled or written."""
    return runs.estimate(Pictures(), config)
