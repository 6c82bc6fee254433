"""A diffusers pipeline loaded, and its runs in several ways compared, prompt by prompt in turns."""

import io
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ditkit.cache.plan import CachePlan
from ditkit.config.schema import RuntimeConfig
from ditkit.errors import RequestError
from ditkit.metrics.bootstrap import Interval, mean_interval
from ditkit.pipelines import asking
from ditkit.results.page import Code, Measured, Page, Pictures, Protocol, Table, write_page
from ditkit.results.progress import Progress
from ditkit.results.report import Cell
from ditkit.tasks.shared import build

INDEX = "model_index.json"
SIDE = 256  # pixels of a picture on the page
WITHOUT = "without a plan"


@dataclass(frozen=True)
class Way:
    """One way to run a pipeline: in what context, with how many steps, and the share of evaluations at which its network is called."""

    name: str
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    steps: int | None = None
    kept: float | None = 1.0  # unknown of another engine, which decides as it runs


@dataclass
class Runs:
    """What one way made and how long each run took."""

    way: Way
    made: list[np.ndarray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def errors(self, wanted: "Runs") -> torch.Tensor:
        """The relative L2 distance of what each run made, from 0 to 1 a channel, to what another way made of the same prompt and seed."""
        pairs = zip(self.made, wanted.made, strict=True)
        return torch.tensor([float(np.linalg.norm(own - theirs) / max(float(np.linalg.norm(theirs)), 1e-12)) for own, theirs in pairs])


def is_pipeline(name: str) -> bool:
    """Whether this is a folder as diffusers saves a pipeline."""
    return (Path(name) / INDEX).exists()


def load(name: str, revision: str | None, runtime: RuntimeConfig) -> Any:
    """The pipeline in a folder or of the hub; raises `RequestError` with the reason where there is none."""
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from diffusers.utils import logging

    if not name:
        raise RequestError("say which pipeline: a folder as diffusers saves it, or a repository of the hub")
    if Path(name).is_dir() and not is_pipeline(name):
        raise RequestError(f"{name} is no pipeline: it has no {INDEX}; save one there with save_pretrained")
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    logging.disable_progress_bar()
    dtype = build.PRECISIONS[runtime.precision]
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of a name that older releases know alone
            pipe = DiffusionPipeline.from_pretrained(name, revision=revision, torch_dtype=dtype, low_cpu_mem_usage=False)
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise RequestError(f"cannot load the pipeline {name}: {' '.join(str(error).split())[:300]}") from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(build.device(runtime))


def compare(
    pipe: Any, ways: Sequence[Way], prompts: Sequence[asking.Asked], steps: int, seed: int, more: dict[str, Any], progress: Progress
) -> list[Runs]:
    """Every way on every prompt, in turns, so that a busy machine slows all alike."""
    runs = [Runs(way) for way in ways]
    progress.start(len(ways) * len(prompts), "comparing")
    for index, asked in enumerate(prompts):
        for each in runs:
            given = asking.arguments(pipe, asked, each.way.steps or steps, seed + index, more, output="np")
            with each.way.around(), torch.inference_mode():
                started = time.perf_counter()
                made = pipe(**given, return_dict=False)[0]
                each.seconds.append(time.perf_counter() - started)
            each.made.append(np.asarray(made, dtype=np.float32))
            if not np.isfinite(each.made[-1]).all():
                raise RequestError(f"the numbers of '{each.way.name}' on '{asked}' stopped being finite; use a finer runtime.precision")
            progress.advance()
    return runs


def table(runs: Sequence[Runs]) -> tuple[list[str], list[list[Cell | Measured]], list[dict[str, Any]]]:
    """Columns and rows of the comparison, against its first row; and the same as data."""
    first, rows, data = runs[0], [], []
    for each in runs:
        ratio = float(np.median([mine / own for mine, own in zip(first.seconds, each.seconds, strict=True)]))
        seconds, errors = float(np.median(each.seconds)), each.errors(first)
        interval = mean_interval(errors) if len(errors) > 1 else Interval(float(errors[0]), float(errors[0]))
        error = Measured(float(errors.mean()), (interval.high - interval.low) / 2)
        rows.append([each.way.name, each.way.kept, seconds, ratio, None if each is first else error])
        data.append({"name": each.way.name, "kept": each.way.kept, "seconds": each.seconds, "speed-up": ratio, "errors": errors.tolist()})
    return ["", "network calls", "s/run", "speed-up", "error"], rows, data


def plain_rows(runs: Sequence[Runs]) -> list[list[Cell]]:
    """The rows of the comparison as the terminal shows them."""
    _, rows, _ = table(runs)
    return [[f"{cell.value:.4f} ± {cell.spread:.4f}" if isinstance(cell, Measured) else cell for cell in row] for row in rows]


def kept(plan: CachePlan) -> float:
    """The share of a run's calls that a pipeline's plan makes."""
    return sum(map(sum, plan.compute)) / (plan.evaluations * len(plan.sites))


def write(runs: Sequence[Runs], prompts: Sequence[asking.Asked], page: Path, title: str, facts: dict[str, Cell], command: str) -> None:
    """One page: the table, pictures with and without, how it was measured."""
    columns, rows, _ = table(runs)
    shown = [(each.way.name, [_png(made) for made in each.made]) for each in runs]
    note = "error: relative L2 distance of the pictures to those without a plan, same prompts and seeds; speed-up: median over the prompts."
    sections = (
        Table("Gain and loss", columns, rows, note=note, best={"error": "low"}, reference=[0]),
        Pictures("The same seeds", [str(asked) for asked in prompts], shown),
        Protocol("How it was measured", facts),
        Code("The same again", command),
    )
    write_page(Page(title, "Every row makes the same prompts with the same seeds, in turns.", sections), page)


def _png(made: np.ndarray) -> bytes:
    """The first picture, or the middle frame of a video, of what a pipeline made: (B, H, W, 3) or (B, F, H, W, 3) from 0 to 1."""
    picture = made[0]
    if picture.ndim == 4:
        picture = picture[len(picture) // 2]
    image = Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return buffer.getvalue()
