"""`ditkit train-router recipe=forecast`: which evaluations are forecast as a whole, and with which weights, in three stages.

Evenly spread, with weights in closed form; the best choice by how runs respond, likewise; weights refined on whole runs. Each stage is
measured on samples that none of them has seen, and the plan of the best one is written.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ditkit.cache.cost import trajectory_cost
from ditkit.cache.forecast import HELD
from ditkit.cache.plan import CachePlan, write_plan
from ditkit.config.schema import ForecastCache, TrainRouterConfig
from ditkit.engine.distributed import World
from ditkit.engine.fit import fitted
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample_latents
from ditkit.errors import ConfigError, RequestError
from ditkit.files.cache import digest
from ditkit.files.tensors import read_tensors, write_tensors
from ditkit.metrics.bootstrap import Interval, mean_interval
from ditkit.metrics.fidelity import relative_errors
from ditkit.results.heatmap import draw_plan
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.routing.refine import refined
from ditkit.routing.response import Response, responses
from ditkit.routing.search import best_choice, cheapest
from ditkit.tasks.shared import build, classes, costs
from ditkit.tasks.shared.calibrated import CALIBRATION_SEED, draft, made_for
from ditkit.tasks.shared.prompts import table_for

HELD_OUT = 2**20  # seeds further on are those of the samples that plans are measured on
LEAST_SAMPLES = 2


@dataclass(frozen=True)
class Stage:
    """A plan, how it came about, and how far its runs end from those without one."""

    name: str
    plan: CachePlan
    errors: Tensor
    seconds: float

    @property
    def interval(self) -> Interval:
        return mean_interval(self.errors)


def run(config: TrainRouterConfig, progress: Progress) -> Report:
    """Search, refine, measure; runs that were recorded before in the same folder are not made again."""
    model = build.model(config)
    if config.samples < LEAST_SAMPLES:
        raise RequestError(f"a plan is calibrated on at least {LEAST_SAMPLES} samples, not {config.samples}; raise samples")
    request = _request(config, model, CALIBRATION_SEED + config.seed, progress)
    held_out = replace(request, seeds=tuple(seed + HELD_OUT for seed in request.seeds))
    search = _Search(config, model, request, held_out, Path(config.out), progress)
    stages = search.stages()
    best = min(stages, key=lambda stage: float(stage.errors.mean()))
    return _finish(config, model, stages, best, Path(config.out))


def _request(config: TrainRouterConfig, model: Model, seed: int, progress: Progress) -> SamplingRequest:
    defaults, prompts = model.spec.defaults, table_for(config, model, progress, World())
    request = SamplingRequest(
        labels=classes.labels((), config.samples, model, prompts),
        seeds=tuple(range(seed, seed + config.samples)),
        solver=build.solver(config.sampler, model.spec, config.evaluations or defaults.steps),
        guidance=defaults.guidance if config.guidance is None else config.guidance,
        batch=config.batch,
        prompts=prompts,
    )
    request.check_fits(model)
    return request


@dataclass(frozen=True)
class _Search:
    config: TrainRouterConfig
    model: Model
    request: SamplingRequest
    held_out: SamplingRequest
    folder: Path
    progress: Progress

    @property
    def order(self) -> int:
        return self.config.order or 2

    def stages(self) -> list[Stage]:
        truths = [self._ends(request, None, "runs without a plan", kept=True) for request in (self.request, self.held_out)]
        started, found = time.perf_counter(), []
        choice = self._choice(self._response()) if self.config.search else None
        budget = self._budget() if choice is None else 1 - len(choice) / len(self.request.solver.times)
        for name, plan in self._plans(choice, budget, truths[0]):
            ends = self._ends(self.held_out, plan, f"measuring: {name}")
            errors = torch.cat([relative_errors(made, truth) for made, truth in zip(ends, truths[1], strict=True)])
            found.append(Stage(name, made_for(plan, self.model, self.request), errors, time.perf_counter() - started))
        return found

    def _plans(self, choice: frozenset[int] | None, budget: float, truths: Sequence[Tensor]) -> Iterator[tuple[str, CachePlan]]:
        """The plan of each stage, made when it is asked for."""
        config, size = self.config, len(self.request.seeds)
        plan = self._fitted(draft(ForecastCache(budget=budget, order=self.order, samples=size), self.model, self.request))
        yield "evenly spread, closed form", plan
        if choice is not None:
            plan = self._fitted(_chosen(plan, choice))
            yield "chosen by the response", plan
        runs = sum(len(cell) - 1 for cell in plan.whole.values()) // 2 + 1
        self.progress.start(config.iterations * runs * size * plan.evaluations, "refining on whole runs")
        plan = refined(self.model, self.request, plan, truths, config.iterations, self.progress.advance)
        yield "refined on whole runs", plan

    def _fitted(self, plan: CachePlan) -> CachePlan:
        self.progress.start(len(self.request.seeds) * plan.evaluations, "fitting")
        return fitted(self.model, self.request, plan, self.order, self.progress.advance).plan

    def _budget(self) -> float:
        config = self.config
        if config.max_error is not None:
            raise ConfigError("max_error needs search=true: without it no error is foreseen")
        return 1 / config.speed_up if config.speed_up else config.budget or 0.7

    def _choice(self, response: Response) -> frozenset[int]:
        config, evaluations = self.config, response.evaluations
        if config.max_error is not None:
            return cheapest(response, config.max_error, self.order)
        skipped = round((1 - self._budget()) * evaluations)
        if not 0 < skipped < evaluations:
            raise ConfigError(
                f"a budget of {self._budget():g} cannot be met: of {evaluations} evaluations from {1 / evaluations:.3f} "
                f"to {1 - 1 / evaluations:.3f} can be kept"
            )
        return best_choice(response, skipped, self.order, config.seed)[0]

    def _ends(self, request: SamplingRequest, plan: CachePlan | None, title: str, *, kept: bool = False) -> list[Tensor]:
        """Where the runs of every batch end; those without a plan are recorded."""
        file = self.folder / f"ends-{digest([self._facts(request), list(request.seeds)])}.safetensors"
        if kept and file.exists():
            return [value for _, value in sorted(read_tensors(file).items(), key=lambda item: int(item[0]))]
        self.progress.start(len(request.seeds) * len(request.solver.times), title)
        planned = replace(request, plan=plan)
        ends = [sample_latents(self.model, planned, batch, self.progress.advance).cpu() for batch in request.batches()]
        if kept:
            write_tensors(file, {str(place): end for place, end in enumerate(ends)})
        return [end.to(self.model.device) for end in ends]

    def _response(self) -> Response:
        """How runs respond; recorded, since it serves every budget."""
        request, window = self.request, self.config.window
        evaluations = len(request.solver.times)
        file = self.folder / f"response-{digest([self._facts(request), list(request.seeds), window])}.safetensors"
        if file.exists():
            known = read_tensors(file)
            return Response(tuple(known[str(evaluation)] for evaluation in range(evaluations)))
        steps = len(request.seeds) * evaluations * (1 + evaluations * window // 2)
        self.progress.start(steps, "how runs respond")
        response = responses(self.model, request, window, self.progress.advance)
        write_tensors(file, {str(evaluation): products for evaluation, products in enumerate(response.products)})
        return response

    def _facts(self, request: SamplingRequest) -> list[Any]:
        said = request.prompts.texts if request.prompts else ()
        return [
            dict(self.model.origin),
            request.solver.name,
            request.solver.times,
            request.guidance,
            list(request.labels),
            request.batch,
            said,
        ]


def _chosen(plan: CachePlan, whole: frozenset[int]) -> CachePlan:
    rows = tuple((evaluation not in whole,) * len(plan.sites) for evaluation in range(plan.evaluations))
    return replace(plan, compute=rows, whole=dict.fromkeys(sorted(whole), HELD))


def _finish(config: TrainRouterConfig, model: Model, stages: Sequence[Stage], best: Stage, folder: Path) -> Report:
    kept = 1 - trajectory_cost(costs.multiply_adds(model), best.plan.evaluations, 1, best.plan).saved
    error, interval = float(best.errors.mean()), best.interval
    quality = {"latent_error": round(error, 4), "interval": [round(interval.low, 4), round(interval.high, 4)]}
    quality |= {"kept": round(kept, 3), "samples": len(best.errors)}
    provenance = {**best.plan.provenance, "budget": round(kept, 3), "samples": config.samples, "stage": best.name}
    plan = replace(best.plan, provenance=provenance, quality=quality)
    file, picture, numbers = (folder / name for name in ("plan.json", "heatmap.png", "stages.json"))
    write_plan(plan, file)
    draw_plan(plan, picture, f"{config.model}, {plan.solver}, {plan.evaluations} evaluations")
    rows: list[list[Cell]] = []
    before: float | None = None
    for stage in stages:
        mean = float(stage.errors.mean())
        gain = f"{1 - mean / before:.0%}" if before else ""
        rows.append([stage.name, f"{mean:.4f}", f"[{stage.interval.low:.4f}, {stage.interval.high:.4f}]", gain, f"{stage.seconds:.0f}"])
        before = mean
    record = [{"stage": stage.name, "errors": stage.errors.tolist(), "seconds": stage.seconds} for stage in stages]
    numbers.write_text(json.dumps(record) + "\n", encoding="utf-8")
    command = "gen3d" if model.spec.points else "sample"
    facts: dict[str, Cell] = {
        "kept": f"{kept:.3f} of the multiply-adds",
        "forecast": f"{len(plan.whole)} of {plan.evaluations} evaluations",
        "error": f"{error:.4f}",
    }
    notes = [f"errors are those of {len(best.errors)} samples that no stage has seen: relative L2 of the latents to the run without a plan"]
    notes.append(f"use it: ditkit {command} --model {config.model} --steps {plan.evaluations} --plan {file}")
    if config.max_error is not None and error > config.max_error:
        notes.append(f"the error came out above {config.max_error:g}; ask for a little less")
    columns = ("stage", "error", "95 %", "gain", "seconds")
    data = {"kept": kept, "error": error, "stages": record}
    return Report(f"a plan for {config.model}", facts, columns, rows, [file, picture, numbers], notes, data)
