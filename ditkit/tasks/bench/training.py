"""`ditkit bench --parts --train`: where the time of a training step goes, and how near it comes to what matrix products reach.

The step is the one that `ditkit train` takes under the same words; nothing is kept of it.
"""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ditkit.config.schema import TrainConfig
from ditkit.data.examples import Examples
from ditkit.engine.distributed import World
from ditkit.files.atomic import write_atomically
from ditkit.results.folder import library_versions
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.bench.parts import CEILING, seconds, wait
from ditkit.tasks.shared import build
from ditkit.tasks.train import prepared, settings_of
from ditkit.tasks.train.recipes import recipe_of
from ditkit.training.denoiser import DenoiserTask
from ditkit.training.trainer import train

ROUNDS = 9
LEARNING = ("forward", "backward")  # the parts that are mostly matrix products
NOTE = (
    "median of the rounds; draw: composing and encoding, or reading, the examples; GFLOP/s: of the matrix products of both passes; "
    f"of the ceiling: of a product of {CEILING} x {CEILING} matrices in the same precision and rounds"
)


@dataclass
class Clock:
    """Seconds of every part, in the order they first end. It runs from the end of one part to the end of the next."""

    device: torch.device
    spent: dict[str, list[float]] = field(default_factory=dict)
    since: float = 0.0

    def start(self) -> None:
        wait(self.device)
        self.since = time.perf_counter()

    def __call__(self, part: str) -> None:
        wait(self.device)
        now = time.perf_counter()
        self.spent.setdefault(part, []).append(now - self.since)
        self.since = now


@dataclass
class _Watched:
    """Examples whose drawing is a part of its own."""

    examples: Examples
    mark: Callable[[str], None]

    def draw(self, generator: torch.Generator, batch: int, rows: slice) -> tuple[Tensor, Tensor]:
        drawn = self.examples.draw(generator, batch, rows)
        self.mark("draw")
        return drawn


def run(config: TrainConfig, progress: Progress) -> Report:
    """Time the steps of this training by their parts; write the numbers into its folder."""
    where = prepared(config)
    task = recipe_of(config, Path(config.out), where, World(), progress).task
    clock, counter = Clock(where), FlopCounterMode(display=False)
    counted: dict[str, int] = {}

    def mark(part: str) -> None:
        clock(part)
        counted.setdefault(part, counter.get_total_flops())

    if isinstance(task, DenoiserTask):
        task.examples = _Watched(task.examples, mark)
    a, b = torch.randn(2, CEILING, CEILING, device=where, dtype=build.PRECISIONS[config.runtime.precision])
    ceilings: list[float] = []
    progress.start(ROUNDS, "steps")
    with TemporaryDirectory() as folder, contextlib.closing(train(task, settings_of(config), Path(folder), mark=mark)) as steps:
        clock.start()
        with counter:
            next(steps)
        clock.spent.clear()  # of the first step, which is counted and allocates memory
        for _ in range(ROUNDS):
            ceilings.append(seconds(lambda: a @ b, where))
            clock.start()
            next(steps)
            progress.advance()
    flops = counted["backward"] - counted.get("draw", 0)
    return _finish(config, clock.spent, flops / 1e9, 2 * CEILING**3 / median(ceilings) / 1e9)


def _finish(config: TrainConfig, spent: dict[str, list[float]], gflop: float, ceiling: float) -> Report:
    whole = median(map(sum, zip(*spent.values(), strict=True)))
    learning = median(map(sum, zip(*(spent[part] for part in LEARNING), strict=True)))
    rows: list[list[Cell]] = [[part, f"{median(times):.4f}", f"{median(times) / whole:.0%}"] for part, times in spent.items()]
    facts: dict[str, Cell] = {
        "batch": config.batch,
        "a step": f"{whole:.3f} s, {config.batch / whole:.1f} examples a second",
        "both passes": f"{gflop:.1f} GFLOP at {gflop / learning:.0f} GFLOP/s, {gflop / learning / ceiling:.0%} of the ceiling",
        "matrix product": f"{ceiling:.0f} GFLOP/s",
        "threads": torch.get_num_threads(),
        "precision": config.runtime.precision,
        "rounds": ROUNDS,
    }
    record = {"config": asdict(config), "versions": library_versions(), "seconds": spent, "gflop": gflop, "ceiling_gflops": ceiling}
    numbers = Path(config.out) / "step.json"
    write_atomically(numbers, lambda path: path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8"))
    return Report(f"bench {config.model}, a training step", facts, ["", "s/step", "share"], rows, [numbers], [NOTE], record)
