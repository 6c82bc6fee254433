"""Who takes part in `ditkit bench`: the run without a plan, plans, policies at equal cost, fewer steps, other engines."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from ditkit.cache.budget import kept_share
from ditkit.cache.cost import trajectory_cost
from ditkit.cache.forecast import MOST
from ditkit.cache.plan import CachePlan, read_plan
from ditkit.config.schema import BenchConfig, BudgetCache, ForecastCache, option
from ditkit.engine.conditions import PromptTable
from ditkit.engine.model import Model
from ditkit.engine.race import Contender
from ditkit.engine.request import SamplingRequest
from ditkit.errors import RequestError, ScheduleError
from ditkit.results.progress import Progress
from ditkit.routing.gates import gates
from ditkit.routing.l2p import learned
from ditkit.tasks.bench.peers import DBCache, as_backbone
from ditkit.tasks.shared import build, classes
from ditkit.tasks.shared.calibrated import calibrated, calibration_request, made_for
from ditkit.tasks.shared.memory import check_room
from ditkit.tasks.shared.plans import shipped_plans, with_plan
from ditkit.tasks.shared.prompts import table_for

UNCACHED, FEWER = "uncached", "fewer steps"
DEFAULT_BUDGET = 0.7
DPM = "dpm-solver++"
CACHE_DIT = (  # as SGLang runs it, forecasting, more carefully, and of second order
    DBCache(),
    DBCache(taylor=1),
    DBCache(threshold=0.12, taylor=1),
    DBCache(taylor=2),
    DBCache(threshold=0.12, taylor=2),
)


def contenders(config: BenchConfig, model: Model, progress: Progress) -> list[Contender]:
    """All of them, the uncached run first. Whatever cannot be run is refused here, before anything is sampled."""
    plain = plain_request(config, model, table_for(config, model, progress))
    plans = _plans(config, model, plain)
    budget = config.budget or _budget(model, [request for _, request in plans])
    entries = [Contender(UNCACHED, UNCACHED, model, plain)]
    entries += [Contender(name, _group(plan), model, plan, leads=True) for name, plan in plans]
    entries += [replace(_policy(words, budget, model, plain, progress), leads=not plans) for words in config.policies]
    entries += _cheaper(config, model, plain, budget)
    entries += [entry for name in config.against for entry in _rivals(name, config, model, plain, budget)]
    return _renamed(entries)


def _budget(model: Model, planned: Sequence[SamplingRequest]) -> float:
    """What the first plan keeps that only holds, as the rules without a budget do; if all forecast, the first one."""
    holding = [request for request in planned if request.plan and not (request.plan.whole or request.plan.forecast)]
    return next((share(model, request) for request in [*holding, *planned]), DEFAULT_BUDGET)


def share(model: Model, request: SamplingRequest) -> float:
    """The share of multiply-adds that the request's plan keeps."""
    return 1 - trajectory_cost(model.backbone.multiply_adds(), len(request.solver.times), 1, request.plan).saved


def plain_request(config: BenchConfig, model: Model, prompts: PromptTable | None, evaluations: int | None = None) -> SamplingRequest:
    """The run without a plan, of so many evaluations if they are given."""
    assert config.count is not None
    spec, count = model.spec, config.count
    request = SamplingRequest(
        labels=classes.labels((), count, model, prompts),
        seeds=range(config.seed, config.seed + count),
        solver=build.solver(config.sampler, spec, evaluations or config.steps or spec.defaults.steps, reusing=True),
        guidance=spec.defaults.guidance if config.guidance is None else config.guidance,
        batch=config.batch,
        prompts=prompts,
    )
    request.check_fits(model)
    check_room(model, request)
    if not request.solver.times:
        raise RequestError(
            f"{request.solver.name} chooses its times as it goes, and a bench compares runs of known ones; choose another --solver"
        )
    return request


def _plans(config: BenchConfig, model: Model, plain: SamplingRequest) -> list[tuple[str, SamplingRequest]]:
    if not config.plans:
        return [(_policy_of(plan), replace(plain, plan=plan)) for plan in shipped_plans(model, plain)]
    found = [(Path(file), replace(plain, plan=read_plan(Path(file)))) for file in config.plans]
    for _, request in found:
        request.check_fits(model)
    return [(path.stem if path.stem != "plan" else path.parent.name, request) for path, request in found]


def _policy_of(plan: CachePlan) -> str:
    """How the plan was made; for a learned one also on what, unless it was single evaluations."""
    policy, trial = plan.provenance.get("policy", "plan"), plan.provenance.get("config", {}).get("trial", "evaluations")
    return f"{policy}, whole {trial}" if trial != "evaluations" else str(policy)


def _group(request: SamplingRequest) -> str:
    return _policy_of(request.plan) if request.plan else UNCACHED


def _policy(words: str, budget: float, model: Model, plain: SamplingRequest, progress: Progress) -> Contender:
    name, _, own = words.partition(":")
    share = float(own) if own else budget
    if name == "l2p":
        return Contender(name, name, model, replace(plain, plan=_l2p(share, model, plain, progress)))
    cache = option("cache", name, budget=share)
    if isinstance(cache, BudgetCache):
        cache = replace(cache, period=_period(share, model, plain))
    return Contender(name, name, model, with_plan(plain, cache, model, progress))


def _period(budget: float, model: Model, plain: SamplingRequest) -> int:
    """The shortest one with which a rule can keep so little: the more evaluations it may reuse branches at, the less is computed."""
    sites, costs, evaluations = model.backbone.sites, model.backbone.multiply_adds(), len(plain.solver.times)

    def least(period: int) -> float:
        gated = len(gates(plain.solver, period))
        return float(kept_share(torch.zeros(gated, len(sites)), evaluations, sites, costs))

    return next((period for period in range(2, evaluations) if least(period) <= budget), max(2, evaluations))


def _l2p(budget: float, model: Model, plain: SamplingRequest, progress: Progress) -> CachePlan:
    """Learned on as many samples, of the same seeds, as forecasts are chosen and fitted on, and skipping the same evaluations."""
    cache = ForecastCache(budget=budget, order=MOST)
    plan = calibrated(cache, model, plain, progress, "calibrating a plan")
    trial = calibration_request(cache.samples, model, plain)
    progress.start(cache.samples * len(plain.solver.times), "learning L2P's coefficients")
    plan = learned(model, trial, plan, cache.order, progress.advance)
    return made_for(plan, model, plain, samples=cache.samples)


def converged(config: BenchConfig, model: Model, prompts: PromptTable | None) -> SamplingRequest | None:
    """The same samples from many more evaluations of the same solver; None where noise of their own or the time grid forbids it."""
    evaluations = config.converged * (config.steps or model.spec.defaults.steps)
    if not evaluations:
        return None
    with suppress(ScheduleError):
        request = plain_request(config, model, prompts, evaluations)
        return None if request.solver.draws else request
    return None


def _cheaper(config: BenchConfig, model: Model, plain: SamplingRequest, budget: float) -> Iterator[Contender]:
    """Fewer evaluations: those that are asked for, else those of equal cost that the time grid can have."""
    for evaluations in config.fewer:
        yield _fewer(config, model, plain.prompts, evaluations)
    for evaluations in [] if config.fewer else _equal_cost(plain, budget):
        with suppress(ScheduleError):
            yield _fewer(config, model, plain.prompts, evaluations)


def _fewer(config: BenchConfig, model: Model, prompts: PromptTable | None, evaluations: int) -> Contender:
    return Contender(f"{evaluations} evaluations", FEWER, model, plain_request(config, model, prompts, evaluations))


def _equal_cost(plain: SamplingRequest, budget: float) -> list[int]:
    """The numbers of evaluations next to the budget, one below and one above, where they are not the full run's."""
    evaluations = len(plain.solver.times)
    near = {int(evaluations * budget), -int(-evaluations * budget // 1)}
    return sorted(number for number in near if 1 <= number < evaluations)


def _rivals(name: str, config: BenchConfig, model: Model, plain: SamplingRequest, budget: float) -> Iterator[Contender]:
    if name != DPM:
        yield from _peers(name, model, plain)
        return
    other = replace(config, sampler=option("sampler", DPM))
    for evaluations in config.fewer or _equal_cost(plain, budget):
        with suppress(ScheduleError):
            yield Contender(f"{evaluations} of {DPM}", DPM, model, plain_request(other, model, plain.prompts, evaluations))


def _peers(name: str, model: Model, plain: SamplingRequest) -> Iterator[Contender]:
    build.check_makes_pictures(model.spec)
    settings: Sequence[DBCache | None] = [None] if name == "diffusers" else CACHE_DIT
    if model.compiled:
        raise RequestError(f"{name} is run as it is, not compiled; leave out runtime.compile=true to compare with it")
    for cache in settings:
        backbone = as_backbone(model.backbone, name, cache)
        label = f"{name} {cache}" if cache else name
        yield Contender(label, name, replace(model, backbone=backbone), replace(plain, plan=None))


def _renamed(entries: Sequence[Contender]) -> list[Contender]:
    """With the share that is kept behind names that occur more than once."""
    names = [entry.name for entry in entries]
    return [
        replace(entry, name=f"{entry.name} {share(entry.model, entry.request):.2f}") if names.count(entry.name) > 1 else entry
        for entry in entries
    ]
