"""`ditkit bench FOLDER`: a diffusers pipeline without a plan, with plans, with fewer steps, and in cache-dit's hands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ditkit.cache.plan import read_plan
from ditkit.cache.words import steps_mask
from ditkit.config.schema import BenchConfig
from ditkit.errors import RequestError
from ditkit.files.atomic import write_atomically
from ditkit.pipelines.accelerate import accelerate
from ditkit.pipelines.denoiser import find
from ditkit.results.folder import library_versions
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.tasks.bench.peers import DBCache, cached
from ditkit.tasks.shared import pipeline_runs
from ditkit.tasks.shared.command_line import command_line
from ditkit.tasks.shared.pipeline_runs import WITHOUT, Way
from ditkit.tasks.shared.prompts import read_prompts

TAYLOR = (0, 1, 2)  # of cache-dit, orders of its calibrator; 0 holds


def run(config: BenchConfig, progress: Progress) -> Report:
    """Every way on every prompt, in turns; numbers and page in the folder."""
    prompts = [*config.prompts, *(read_prompts(config.prompt_file) if config.prompt_file else [])]
    if not prompts:
        raise RequestError(f"{config.model} is a pipeline; say what it is asked for: --prompts FILE, with one on each line")
    pipe = pipeline_runs.load(config.model, config.revision, config.runtime)
    ways = list(_ways(config, pipe))
    steps = _steps(config)
    more = {} if config.guidance is None else {"guidance_scale": config.guidance}
    runs = pipeline_runs.compare(pipe, ways, prompts, steps, config.seed, more, progress)
    unnamed = config.out.endswith(config.model)  # the configuration's own name for it, with a path inside
    folder = Path("runs") / f"bench-{Path(config.model).resolve().name}" if unnamed else Path(config.out)
    numbers, page = folder / "bench.json", folder / "report.html"
    command = command_line("bench", config, [config.model], ("model",))
    columns, _, data = pipeline_runs.table(runs)
    record = {"command": command, "config": asdict(config), "versions": library_versions(), "rows": data}
    write_atomically(numbers, lambda path: path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8"))
    facts = {"pipeline": type(pipe).__name__, "prompts": len(prompts), "steps": steps, **library_versions()}
    pipeline_runs.write(runs, prompts, page, f"ditkit bench: {config.model}", facts, command)
    return Report(f"bench {config.model}", {"prompts": len(prompts)}, columns, pipeline_runs.plain_rows(runs), [numbers, page], data=record)


def _steps(config: BenchConfig) -> int:
    """Those that are asked for, or those of the first plan."""
    if config.steps is not None:
        return config.steps
    if not config.plans:
        raise RequestError("say of how many steps: --steps N, or a plan that was made for some")
    return int(read_plan(Path(config.plans[0])).provenance.get("steps", read_plan(Path(config.plans[0])).evaluations))


def _ways(config: BenchConfig, pipe: Any) -> Iterator[Way]:
    yield Way(WITHOUT)
    shares = []
    for file in config.plans:
        plan = read_plan(Path(file))
        shares.append(pipeline_runs.kept(plan))
        yield Way(Path(file).stem, partial(accelerate, pipe, plan), kept=shares[-1])
    steps = _steps(config)
    for fewer in config.fewer or sorted({max(1, round(steps * share)) for share in shares}):
        yield Way(f"{fewer} steps", steps=fewer, kept=fewer / steps)
    for engine in config.against:
        if engine != "cache-dit":
            raise RequestError(f"a pipeline is compared with cache-dit, not with {engine}; leave out --against {engine}")
        masks = dict.fromkeys(tuple(steps_mask(read_plan(Path(file)))) for file in config.plans)
        for mask in masks or ((),):
            for order in TAYLOR:
                cache = DBCache(taylor=order, steps=mask)
                yield Way(f"cache-dit {cache}", partial(_cached, pipe, cache), kept=None)


@contextmanager
def _cached(pipe: Any, cache: DBCache) -> Iterator[None]:
    """cache-dit's cache around the pipeline's denoiser, for as long as the context lasts."""
    module = find(pipe).module
    library = cached(module, cache)
    try:
        yield
    finally:
        library.disable_cache(module)
