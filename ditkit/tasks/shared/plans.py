"""From the group `cache` to a plan: read, made by a rule, calibrated on the model, or the best one that ditkit ships."""

import math
from dataclasses import replace
from pathlib import Path

from ditkit.cache import policies
from ditkit.cache.cost import trajectory_cost
from ditkit.cache.plan import CachePlan, read_plan
from ditkit.config.schema import (
    AutoCache,
    BottomCache,
    CacheConfig,
    EveryCache,
    FileCache,
    ForecastCache,
    NoCache,
    RandomCache,
    SimilarityCache,
    TopCache,
)
from ditkit.engine.distributed import World, gather
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.errors import PlanMismatch, RequestError
from ditkit.files.weights import ASSETS
from ditkit.results.progress import NoProgress, Progress
from ditkit.routing.gates import gates
from ditkit.tasks.shared.calibrated import calibrated, estimated

SHIPPED = ASSETS.parent / "plans"
NEAR_LOSSLESS = 0.6  # of a run's multiply-adds: shipped plans keep some 0.7 or 0.8, or half
ABOUT = 0.025  # how far from a budget a shipped plan may be


def check_file(cache: CacheConfig) -> None:
    """Raise `PlanMismatch` for a file that is no plan, which needs no model; whether it fits is seen with the model."""
    if isinstance(cache, FileCache):
        read_plan(Path(cache.path))


def with_plan(
    request: SamplingRequest, cache: CacheConfig, model: Model, progress: Progress | None = None, world: World | None = None
) -> SamplingRequest:
    """The request with the plan that `cache` asks for, unless it has one already. Every process of `world` gets the first one's."""
    if request.plan is not None:
        return request
    _check_times(request, cache)
    planned = replace(request, plan=_plan(cache, model, request, progress or NoProgress(), world or World()))
    planned.check_fits(model)
    return planned


def _check_times(request: SamplingRequest, cache: CacheConfig) -> None:
    """Raise `PlanMismatch` for a plan that is to be made for evaluations of which nobody knows when they are."""
    if not request.solver.times and not isinstance(cache, NoCache):
        raise PlanMismatch(f"{request.solver.name} chooses its times as it goes: no plan fits it; choose another --solver, or cache=none")


def _plan(cache: CacheConfig, model: Model, request: SamplingRequest, progress: Progress, world: World) -> CachePlan | None:
    title = "calibrating a plan"
    if isinstance(cache, AutoCache):
        if found := best_shipped(model, request, cache.budget):
            return found
        cache, title = _in_place_of(cache), "no shipped plan fits this run, calibrating one"
    if isinstance(cache, SimilarityCache | ForecastCache):
        mine = calibrated(cache, model, request, progress, title) if world.rank == 0 else None
        return gather(mine, world)[0]
    return _ruled(cache, model, request)


def _in_place_of(cache: AutoCache) -> ForecastCache:
    """What is calibrated where no plan ships."""
    return ForecastCache() if cache.budget is None else ForecastCache(budget=cache.budget)


def with_estimated_plan(request: SamplingRequest, cache: CacheConfig, model: Model) -> SamplingRequest:
    """The same for a model without weights: in place of a plan that would be calibrated on them, one that costs its budget.

    Raises `RequestError` where a threshold and not a budget decides.
    """
    _check_times(request, cache)
    if request.plan is None and isinstance(cache, AutoCache) and not best_shipped(model, request, cache.budget):
        cache = _in_place_of(cache)
    if request.plan is None and isinstance(cache, ForecastCache):
        return replace(request, plan=estimated(cache, model, request))
    if isinstance(cache, SimilarityCache):
        if cache.threshold is not None:
            way = "for an estimate say cache.budget in place of cache.threshold"
            raise RequestError(f"what a threshold reuses is known only once the plan is calibrated; {way}")
        cache = EveryCache(budget=cache.budget)
    return with_plan(request, cache, model)


def best_shipped(model: Model, request: SamplingRequest, budget: float | None = None) -> CachePlan | None:
    """Of the shipped plans that fit, one that keeps about the `budget`; without one, the near-lossless one that saves most.

    Near-lossless are those that keep `NEAR_LOSSLESS` of the run or more, if there are any. Plans that forecast come before plans that only
    hold; of those that save the same percentage the one of the least error is taken.
    """
    costs = model.backbone.multiply_adds()
    plans = [(1 - trajectory_cost(costs, plan.evaluations, 1, plan).saved, plan) for plan in shipped_plans(model, request)]
    if budget is None:
        plans = [(kept, plan) for kept, plan in plans if kept >= NEAR_LOSSLESS] or plans
    else:
        plans = [(kept, plan) for kept, plan in plans if abs(kept - budget) <= max(ABOUT, 0.5 / plan.evaluations)]

    def worth(found: tuple[float, CachePlan]) -> tuple[bool, float, float]:
        kept, plan = found
        return bool(plan.whole or plan.forecast), round(1 - kept, 2), -float(plan.quality.get("latent_error", math.inf))

    return max(plans, key=worth, default=(1.0, None))[1]


def shipped_plans(model: Model, request: SamplingRequest) -> list[CachePlan]:
    """Those that fit this run."""
    return [plan for plan in map(read_plan, sorted(SHIPPED.glob("*.json"))) if _fits(plan, model, request)]


def _fits(plan: CachePlan, model: Model, request: SamplingRequest) -> bool:
    try:
        replace(request, plan=plan).check_fits(model)
    except PlanMismatch:
        return False
    return True


def _ruled(cache: CacheConfig, model: Model, request: SamplingRequest) -> CachePlan | None:
    sites, times = model.backbone.sites, request.solver.times
    if isinstance(cache, FileCache):
        return read_plan(Path(cache.path))
    if isinstance(cache, EveryCache):
        if cache.budget is not None:
            return policies.spread(cache.budget, sites, times, model.backbone.multiply_adds())
        return policies.every(cache.period, sites, times)
    if isinstance(cache, RandomCache | TopCache | BottomCache):
        gated = [gate.evaluation for gate in gates(request.solver, cache.period)]
        costs = model.backbone.multiply_adds()
        match cache:
            case RandomCache():
                return policies.random(cache.budget, cache.seed, gated, sites, times, costs)
            case TopCache():
                return policies.top(cache.budget, gated, sites, times, costs)
            case BottomCache():
                return policies.bottom(cache.budget, gated, sites, times, costs)
    return None
