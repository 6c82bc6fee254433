"""`ditkit bench --parts`: where an evaluation's time goes, and how near it comes to what the machine's matrix products reach.

Shapes: B samples, P points, V voxels along a side.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from ditkit.config.schema import BenchConfig
from ditkit.diffusion.noise import SampleNoise
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.execution import PLAIN, Execution, Site
from ditkit.files.atomic import write_atomically
from ditkit.nn.voxels import devoxelise, voxel_coordinates, voxelise
from ditkit.results.folder import library_versions
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.bench.contenders import plain_request
from ditkit.tasks.shared import build
from ditkit.tasks.shared.command_line import command_line
from ditkit.tasks.shared.prompts import table_for

ROUNDS = 15
CEILING = 2048  # rows and columns of the matrix product that stands for what the machine can do
NOTE = (
    "median of interleaved rounds; an evaluation is of the whole batch, without guidance; GFLOP/s: two per multiply-add; of the ceiling: "
    f"of a product of {CEILING} x {CEILING} matrices in the same rounds; shares of branches with their norms, timed one by one"
)


@dataclass
class Parts:
    """Seconds of every round: of whole evaluations, of their branches by kind, and of what turns points into voxels and back."""

    model: str
    tokens: int
    multiply_adds: int
    depth: int
    whole: list[float] = field(default_factory=list)
    branches: dict[str, list[float]] = field(default_factory=dict)
    points: list[float] = field(default_factory=list)

    @property
    def gflops(self) -> float:
        return 2 * self.multiply_adds / median(self.whole) / 1e9

    @property
    def block(self) -> float:
        """Seconds of one block's branches, in the mean over the blocks."""
        return sum(median(seconds) for seconds in self.branches.values()) / self.depth


def run(config: BenchConfig, progress: Progress) -> Report:
    """Time the model, and those `beside` it, in turns; write the numbers."""
    models = [build.model(replace(config, model=name), progress) for name in dict.fromkeys((config.model, *config.beside))]
    subjects = [_subject(config, model, progress) for model in models]
    a, b = torch.randn(2, CEILING, CEILING, device=models[0].device, dtype=models[0].dtype)
    ceiling: list[float] = []
    progress.start((1 + ROUNDS) * len(subjects), "evaluations")
    with torch.inference_mode():
        for timed in range(1 + ROUNDS):  # the first, which allocates memory, does not count
            ceiling += [seconds(lambda: a @ b, a.device)] * bool(timed)
            for parts, evaluate, points in subjects:
                _round(parts if timed else replace(parts, whole=[], branches={}, points=[]), evaluate, points, a.device)
                progress.advance()
    return _finish(config, [parts for parts, *_ in subjects], 2 * CEILING**3 / median(ceiling) / 1e9)


Evaluate = Callable[[Execution], object]
Subject = tuple[Parts, Evaluate, Callable[[], object] | None]


def _subject(config: BenchConfig, model: Model, progress: Progress) -> Subject:
    """What is timed of a model: an evaluation, run in a given way, and the way to voxels and back."""
    prompts = table_for(config, model, progress)
    request = replace(plain_request(replace(config, count=config.batch, model=model.spec.name), model, prompts), guidance=1.0)
    x = SampleNoise(request.seeds).draw(1, model.spec.sample_shape, model.device)[0]
    chosen = [PLAIN]
    denoise = denoiser(model, request, request.labels, executions=lambda _: chosen[0])

    def evaluate(execution: Execution) -> object:
        chosen[0] = execution
        return denoise(x, 0)

    costs = model.backbone.multiply_adds()
    blocks = {site.block for site in model.backbone.sites}
    parts = Parts(model.spec.name, getattr(model.spec.params, "tokens", 0), len(x) * sum(costs.values()), len(blocks))
    return parts, evaluate, _to_voxels_and_back(model, x) if model.spec.points else None


def _to_voxels_and_back(model: Model, x_B3P: Tensor) -> Callable[[], object]:
    side = model.spec.params.input_size
    grid = torch.randn(len(x_B3P), 3, side, side, side, device=x_B3P.device, dtype=model.dtype)

    def there_and_back() -> object:
        at = voxel_coordinates(x_B3P, side)
        return voxelise(x_B3P, at, side), devoxelise(grid, at)

    return there_and_back


def _round(parts: Parts, evaluate: Evaluate, points: Callable[[], object] | None, device: torch.device) -> None:
    parts.whole.append(seconds(lambda: evaluate(PLAIN), device))
    spent: dict[str, float] = defaultdict(float)

    def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        made: list[Tensor] = []
        spent[site.branch] += seconds(lambda: made.append(compute()), device)
        return made[0]

    evaluate(Execution(branch))
    for kind, of_all in spent.items():
        parts.branches.setdefault(kind, []).append(of_all)
    if points:
        parts.points.append(seconds(points, device))


def seconds(work: Callable[[], object], device: torch.device) -> float:
    wait(device)
    started = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - started


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _finish(config: BenchConfig, found: list[Parts], ceiling: float) -> Report:
    kinds = list(dict.fromkeys(kind for parts in found for kind in parts.branches))
    points = any(parts.points for parts in found)
    columns = ["", "tokens", "s/evaluation", "times the first", "GMACs", "GFLOP/s", "of the ceiling", *kinds, "rest"]
    columns += ["points to voxels and back"] if points else []
    rows = [_row(parts, found[0], ceiling, kinds) for parts in found]
    command = command_line("bench", config, [config.model], ("model",))
    numbers = Path(config.out) / "parts.json"
    facts: dict[str, Cell] = {
        "batch": config.batch,
        "matrix product": f"{ceiling:.0f} GFLOP/s",
        "threads": torch.get_num_threads(),
        "precision": config.runtime.precision,
        "rounds": ROUNDS,
    }
    record = {"command": command, "versions": library_versions(), "ceiling_gflops": ceiling, "models": [asdict(parts) for parts in found]}
    write_atomically(numbers, lambda path: path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8"))
    return Report(f"bench {config.model}, by parts", facts, columns, rows, [numbers], [NOTE], record)


def _row(parts: Parts, first: Parts, ceiling: float, kinds: list[str]) -> list[Cell]:
    whole = median(parts.whole)
    ratio = median(mine / its for mine, its in zip(parts.whole, first.whole, strict=True))
    shares = [median(parts.branches[kind]) / whole if kind in parts.branches else None for kind in kinds]
    rest = 1 - sum(share or 0.0 for share in shares)
    row: list[Cell] = [parts.model, parts.tokens, f"{whole:.4f}", f"{ratio:.2f}", f"{parts.multiply_adds / 1e9:.2f}", f"{parts.gflops:.0f}"]
    row += [f"{parts.gflops / ceiling:.0%}", *(None if share is None else f"{share:.0%}" for share in shares), f"{rest:.0%}"]
    if parts.points:
        spent = median(parts.points)
        row.append(f"{1000 * spent:.2f} ms, {spent / parts.block:.1%} of a block")
    return row
