"""`ditkit train-router recipe=forecast`: which evaluations are forecast as a whole, and with which weights, stage by stage.

Evenly spread, with weights in closed form; the best choice in miniature, likewise; weights refined on whole runs. Each stage is measured on
samples that none of them has seen, and the plan of the best one is written.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ditkit.cache.cost import trajectory_cost
from ditkit.cache.plan import CachePlan, write_plan
from ditkit.config.schema import TrainRouterConfig
from ditkit.engine.distributed import World
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.errors import RequestError
from ditkit.files.atomic import write_atomically
from ditkit.results.heatmap import draw_plan
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.shared import build, classes, costs
from ditkit.tasks.shared.calibrated import CALIBRATION_SEED
from ditkit.tasks.shared.prompts import table_for
from ditkit.tasks.train_router.stages import Search, Stage
from ditkit.tasks.train_router.use import use_of

HELD_OUT = 2**20  # seeds further on are those of the samples that plans are measured on
LEAST_SAMPLES = 2


def run(config: TrainRouterConfig, progress: Progress) -> Report:
    """Search, refine, measure; runs that were recorded before in the same folder are not made again."""
    model = build.model(config)
    if config.samples < LEAST_SAMPLES:
        raise RequestError(f"a plan is calibrated on at least {LEAST_SAMPLES} samples, not {config.samples}; raise samples")
    request = _request(config, model, CALIBRATION_SEED + config.seed, progress)
    held_out = replace(request, seeds=tuple(seed + HELD_OUT for seed in request.seeds))
    stages = Search(config, model, request, held_out, Path(config.out), progress).stages()
    best = min((stage for stage in stages if stage.plan), key=lambda stage: stage.mean)
    assert best.plan
    kept = 1 - trajectory_cost(costs.multiply_adds(model), best.plan.evaluations, 1, best.plan).saved
    files = _write(config, best.plan, best, kept, stages, Path(config.out))
    return _report(config, model, stages, best, kept, files)


def _request(config: TrainRouterConfig, model: Model, seed: int, progress: Progress) -> SamplingRequest:
    defaults, prompts = model.spec.defaults, table_for(config, model, progress, World())
    request = SamplingRequest(
        labels=classes.labels((), config.samples, model, prompts),
        seeds=tuple(range(seed, seed + config.samples)),
        solver=build.solver(config.sampler, model.spec, config.evaluations or defaults.steps, reusing=True),
        guidance=defaults.guidance if config.guidance is None else config.guidance,
        batch=config.batch,
        prompts=prompts,
    )
    request.check_fits(model)
    return request


def _write(config: TrainRouterConfig, plan: CachePlan, best: Stage, kept: float, stages: Sequence[Stage], folder: Path) -> list[Path]:
    """The plan, its picture, and the errors of every stage."""
    interval = [round(best.interval.low, 4), round(best.interval.high, 4)]
    quality = {"latent_error": round(best.mean, 4), "interval": interval, "kept": round(kept, 3), "samples": len(best.errors)}
    provenance = {**plan.provenance, "budget": round(kept, 3), "samples": config.samples, "stage": best.name}
    files = [folder / name for name in ("plan.json", "heatmap.png", "stages.json")]
    write_plan(replace(plan, provenance=provenance, quality=quality), files[0])
    draw_plan(plan, files[1], f"{config.model}, {plan.solver}, {plan.evaluations} evaluations")
    write_atomically(files[2], lambda part: part.write_text(json.dumps(_record(stages)) + "\n", encoding="utf-8"))
    return files


def _record(stages: Sequence[Stage]) -> list[dict[str, object]]:
    return [{"stage": stage.name, "errors": stage.errors.tolist(), "seconds": stage.seconds} for stage in stages]


def _report(config: TrainRouterConfig, model: Model, stages: Sequence[Stage], best: Stage, kept: float, files: Sequence[Path]) -> Report:
    assert best.plan
    facts: dict[str, Cell] = {
        "kept": f"{kept:.3f} of the multiply-adds",
        "forecast": f"{len(best.plan.whole)} of {best.plan.evaluations} evaluations",
        "error": f"{best.mean:.4f}",
    }
    notes = [f"errors are those of {len(best.errors)} samples that no stage has seen: relative L2 of the latents to the run without a plan"]
    notes.append(use_of(config, model.spec, best.plan.evaluations, files[0]))
    if config.max_error is not None and best.mean > config.max_error:
        notes.append(f"the error came out above {config.max_error:g}; ask for a little less")
    nearer = [stage for stage in stages if not stage.plan and stage.mean < best.mean]
    notes += [f"{stage.name}, ends nearer for as much: this plan is not worth taking" for stage in nearer]
    columns = ("stage", "error", "95 %", "gain", "seconds")
    return Report(
        f"a plan for {config.model}",
        facts,
        columns,
        _rows(stages),
        files,
        notes,
        {"kept": kept, "error": best.mean, "stages": _record(stages)},
    )


def _rows(stages: Sequence[Stage]) -> list[list[Cell]]:
    """Each plan with what it gains over the one before."""
    rows: list[list[Cell]] = []
    before: float | None = None
    for stage in stages:
        gain = f"{1 - stage.mean / before:.0%}" if before and stage.plan else ""
        low, high = stage.interval.low, stage.interval.high
        rows.append([stage.name, f"{stage.mean:.4f}", f"[{low:.4f}, {high:.4f}]", gain, f"{stage.seconds:.0f}"])
        before = stage.mean
    return rows
