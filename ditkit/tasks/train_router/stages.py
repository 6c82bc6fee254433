"""The stages of `ditkit train-router recipe=forecast`, each of them measured on samples that none has seen."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ditkit.cache.plan import CachePlan, read_plan
from ditkit.cache.policies import skipping
from ditkit.config.schema import ForecastCache, TrainRouterConfig
from ditkit.engine.fit import Fitted, fitted
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.errors import ConfigError, ScheduleError
from ditkit.files.cache import digest
from ditkit.files.tensors import read_tensors, write_tensors
from ditkit.metrics.bootstrap import Interval, mean_interval
from ditkit.metrics.fidelity import relative_errors
from ditkit.results.progress import Progress
from ditkit.routing.miniature import VARIANCE
from ditkit.routing.refine import refined
from ditkit.routing.search import Judge, best_choice, by_residuals, cheapest
from ditkit.routing.undisturbed import Undisturbed, undisturbed
from ditkit.tasks.shared import build
from ditkit.tasks.shared.calibrated import choosing, draft, made_for

VARIANCES = (VARIANCE / 4, VARIANCE, 16 * VARIANCE)  # of the data in miniature; what they lead to is tried on runs


@dataclass(frozen=True)
class Stage:
    """How far runs end from those without a plan (N): under a plan, or with fewer evaluations and none."""

    name: str
    plan: CachePlan | None
    errors: Tensor
    seconds: float

    @property
    def mean(self) -> float:
        return float(self.errors.mean())

    @property
    def interval(self) -> Interval:
        return mean_interval(self.errors)


@dataclass(frozen=True)
class Search:
    """Everything is fitted and chosen on the samples of `request` and measured on those of `held_out`."""

    config: TrainRouterConfig
    model: Model
    request: SamplingRequest
    held_out: SamplingRequest
    folder: Path
    progress: Progress

    @property
    def order(self) -> int:
        return self.config.order or 2

    @property
    def evaluations(self) -> int:
        return len(self.request.solver.times)

    def stages(self) -> list[Stage]:
        """Each plan's, and last that of as many evaluations without one, if the solver can make so few."""
        begun = self._begun(self.config.begin) if self.config.begin else frozenset[int]()
        asked = self._skipped()  # refused before any work
        skipped = len(begun) or asked
        known, truth = (self._undisturbed(request) for request in (self.request, self.held_out))
        started, found = time.perf_counter(), []
        choices = self._choices(known, begun, skipped) if self.config.search else []
        skipped = len(choices[0]) if choices else skipped
        for name, plan in self._plans(choices, skipped, known):
            errors = self._errors(replace(self.held_out, plan=plan), truth, f"measuring: {name}")
            found.append(Stage(name, made_for(plan, self.model, self.request), errors, time.perf_counter() - started))
        with suppress(ScheduleError):
            fewer = self.evaluations - skipped
            solver = build.solver(self.config.sampler, self.model.spec, fewer, reusing=True)
            errors = self._errors(replace(self.held_out, solver=solver), truth, f"measuring: {fewer} evaluations")
            found.append(Stage(f"{fewer} evaluations, no plan", None, errors, time.perf_counter() - started))
        return found

    def _plans(self, choices: Sequence[frozenset[int]], skipped: int, known: Undisturbed) -> Iterator[tuple[str, CachePlan]]:
        """The plan of each stage, made when it is asked for."""
        config = self.config
        even = draft(ForecastCache(budget=1 - skipped / self.evaluations, order=self.order), self.model, self.request)
        best = self._fitted(even)
        yield "evenly spread, closed form", best.plan
        if choices:
            chosen = [by_residuals(self._judge(known), skipped, self.evaluations), *choices]
            drafts = [replace(skipping(choice, even.sites, even.times), provenance=even.provenance) for choice in chosen]
            first = self._fitted(drafts[0])
            yield "by what is left over, closed form", first.plan
            tried = [best, first, *map(self._fitted, drafts[1:])]
            best = min(tried, key=lambda each: float(_apart(each.ends, known.ends).mean()))
            yield "chosen in miniature, closed form", best.plan
        if config.iterations:
            runs = sum(len(cell) - 1 for cell in best.plan.whole.values()) // 2 + 1
            self.progress.start((1 + config.iterations * runs) * len(self.request.seeds) * self.evaluations, "refining on whole runs")
            plan = refined(self.model, self.request, best.plan, known.ends, config.iterations, self.progress.advance)
            yield "refined on whole runs", plan

    def _fitted(self, plan: CachePlan) -> Fitted:
        self.progress.start(len(self.request.seeds) * self.evaluations, "fitting")
        return fitted(self.model, self.request, plan, self.order, self.progress.advance)

    def _skipped(self) -> int:
        """How many evaluations the budget, or the speed-up, leaves to be forecast; 0 where an error says so."""
        config, evaluations = self.config, self.evaluations
        if config.max_error is not None:
            if not config.search:
                raise ConfigError("max_error needs search=true: without it no error is foreseen")
            return 0
        budget = 1 / config.speed_up if config.speed_up else config.budget or 0.7
        count = round((1 - budget) * evaluations)
        if not 0 < count < evaluations:
            least, most = 1 / evaluations, 1 - 1 / evaluations
            raise ConfigError(
                f"a budget of {budget:g} cannot be met: of {evaluations} evaluations from {least:.3f} to {most:.3f} can be kept"
            )
        return count

    def _choices(self, known: Undisturbed, begun: frozenset[int], skipped: int) -> list[frozenset[int]]:
        """That of the plan to begin with, and those that are best in miniature, each of them once."""
        config, evaluations = self.config, self.evaluations
        if config.max_error is not None:
            return [cheapest(self._judge(known), config.max_error, evaluations)]
        judges = [self._judge(known, variance) for variance in VARIANCES]
        found = [best_choice(judged, skipped, evaluations) for judged in judges]
        return list(dict.fromkeys([begun, *found] if begun else found))

    def _judge(self, known: Undisturbed, variance: float = VARIANCE) -> Judge:
        return choosing(known, self.model, self.request.solver, self.order, variance)

    def _begun(self, file: str) -> frozenset[int]:
        """What the plan to begin with forecasts as a whole."""
        plan = read_plan(Path(file))
        replace(self.request, plan=plan).check_fits(self.model)
        if not plan.whole:
            raise ConfigError(f"{file} forecasts no evaluation as a whole; begin with a plan that does")
        return frozenset(plan.whole)

    def _errors(self, request: SamplingRequest, truth: Undisturbed, title: str) -> Tensor:
        """How far each of the request's runs ends from the undisturbed one."""
        self.progress.start(len(request.seeds) * len(request.solver.times), title)
        return _apart([sample_latents(self.model, request, batch, self.progress.advance) for batch in request.batches()], truth.ends)

    def _undisturbed(self, request: SamplingRequest) -> Undisturbed:
        """The runs without a plan; recorded, since they serve every budget."""
        file = self.folder / f"undisturbed-{digest(self._facts(request))}.safetensors"
        if file.exists():
            products, *ends = [value for _, value in sorted(read_tensors(file).items())]
            return Undisturbed([end.to(self.model.device) for end in ends], products)
        self.progress.start(len(request.seeds) * self.evaluations, "runs without a plan")
        found = undisturbed(self.model, request, self.progress.advance)
        write_tensors(file, {"0": found.products} | {f"end {place:06}": end.cpu() for place, end in enumerate(found.ends)})
        return found

    def _facts(self, request: SamplingRequest) -> list[Any]:
        said = request.prompts.texts if request.prompts else ()
        sampled = [request.solver.name, request.solver.times, request.guidance, list(request.labels), list(request.seeds), request.batch]
        return [dict(self.model.origin), *sampled, said]


def _apart(ends: Sequence[Tensor], truths: Sequence[Tensor]) -> Tensor:
    return torch.cat([relative_errors(end, truth) for end, truth in zip(ends, truths, strict=True)])
