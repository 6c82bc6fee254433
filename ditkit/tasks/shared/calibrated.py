"""Plans that are calibrated on the model's own runs, and kept in ditkit's cache folder for the next run that asks for the same."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ditkit.cache import policies
from ditkit.cache.forecast import MOST
from ditkit.cache.plan import CachePlan, read_plan, write_plan
from ditkit.config.schema import ForecastCache, SimilarityCache
from ditkit.diffusion.solvers import Solver
from ditkit.engine.calibrate import output_changes
from ditkit.engine.denoiser import forecast_kind
from ditkit.engine.fit import LEAST, fitted
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.errors import OutputError, PlanMismatch
from ditkit.files.cache import cache_folder, digest
from ditkit.results.progress import Progress
from ditkit.routing.gates import spare_evaluations
from ditkit.routing.miniature import VARIANCE, Miniature
from ditkit.routing.search import Judge, best_choice, judge
from ditkit.routing.undisturbed import Undisturbed, undisturbed
from ditkit.tasks.shared import classes, costs
from ditkit.tasks.shared.memory import check_room

METHOD = "in miniature, also by residuals; of v where noise is added"  # plans that an earlier ditkit kept were made in other ways
CALIBRATION_SEED = 2**40  # far from the seeds of pictures that people ask for
Calibration = SimilarityCache | ForecastCache


def calibrated(cache: Calibration, model: Model, request: SamplingRequest, progress: Progress, title: str) -> CachePlan:
    """The plan, from the cache folder if it was made before; made now it is put there if it can be, and the file is named."""
    trial = calibration_request(cache.samples, model, request)
    file = _file(cache, model, trial)
    if found := _known(file, model, request):
        return found
    check_room(model, trial)
    progress.start(cache.samples * len(request.solver.times), title)
    match cache:
        case SimilarityCache():
            plan = _similar(cache, model, trial, progress)
        case ForecastCache():
            plan = _forecast(cache, model, trial, progress)
    plan = made_for(plan, model, request, samples=cache.samples)
    if file is not None:
        progress.note(_kept(plan, file))
    return plan


def calibration_request(samples: int, model: Model, request: SamplingRequest) -> SamplingRequest:
    """Runs like those of the request, of the calibration's own seeds, without a plan."""
    return SamplingRequest(
        labels=classes.labels((), samples, model, request.prompts),
        seeds=range(CALIBRATION_SEED, CALIBRATION_SEED + samples),
        solver=request.solver,
        guidance=request.guidance,
        interval=request.interval,
        batch=min(samples, request.batch),
        prompts=request.prompts,
    )


def made_for(plan: CachePlan, model: Model, request: SamplingRequest, **provenance: Any) -> CachePlan:
    """The plan with what it was made for and calibrated on."""
    beside: dict[str, Any] = {"guidance": request.guidance}
    if request.prompts:
        beside["prompts"] = len(request.prompts.texts)
    return replace(
        plan,
        provenance={**plan.provenance, **provenance, **beside},
        model=model.spec.name,
        weights=model.origin.get("sketch"),
        solver=request.solver.name,
    )


def draft(cache: ForecastCache, model: Model, request: SamplingRequest) -> CachePlan:
    """What is computed and what is forecast; the weights are still to be fitted."""
    sites, times = model.backbone.sites, request.solver.times
    if cache.of == "branches":
        plan = policies.spread(cache.budget, sites, times, costs.multiply_adds(model))
    else:
        plan = policies.spread_whole(cache.budget, spare_evaluations(request.solver), sites, times)
    return replace(plan, provenance={"policy": "forecast", "of": cache.of, "budget": cache.budget, "order": cache.order})


def choosing(known: Undisturbed, model: Model, solver: Solver, order: int, variance: float = VARIANCE) -> Judge:
    """Judges which evaluations to forecast, by runs without a plan and a run in miniature."""
    return judge(known.relative().numpy(), Miniature.of(solver, forecast_kind(model, solver), variance), order)


def _forecast(cache: ForecastCache, model: Model, trial: SamplingRequest, progress: Progress) -> CachePlan:
    """Every sample is run once: every other one without a plan, to choose what is forecast, the rest to fit the weights.

    Branches, and evaluations if there are too few samples for both, are forecast evenly spread.
    """
    plan = draft(cache, model, trial)
    if plan.whole and cache.samples >= 2 * LEAST:
        known = undisturbed(model, _every_other(trial, 0), progress.advance)
        judged = choosing(known, model, trial.solver, cache.order)
        choice = best_choice(judged, len(plan.whole), plan.evaluations)
        chosen = policies.skipping(choice, plan.sites, plan.times)
        plan, trial = replace(chosen, provenance=plan.provenance), _every_other(trial, 1)
    return fitted(model, trial, plan, cache.order, progress.advance).plan


def _every_other(request: SamplingRequest, first: int) -> SamplingRequest:
    return replace(request, labels=request.labels[first::2], seeds=request.seeds[first::2])


def estimated(cache: ForecastCache, model: Model, request: SamplingRequest) -> CachePlan:
    """The draft with weights that stand for those to be fitted: they cost and keep as much."""
    plan = draft(cache, model, request)
    computed = [e for e in range(plan.evaluations) if e not in plan.whole and plan.compute[e][0]]

    def cell(evaluation: int) -> tuple[float, ...]:
        return (1.0, 0.5, -0.5)[: min(cache.order, MOST, sum(before < evaluation for before in computed))]

    held = [(e, s) for e, row in enumerate(plan.compute) for s, kept in enumerate(row) if not kept and e not in plan.whole]
    return replace(plan, whole={e: cell(e) for e in plan.whole}, forecast={at: cell(at[0]) for at in held})


def _similar(cache: SimilarityCache, model: Model, trial: SamplingRequest, progress: Progress) -> CachePlan:
    sites, times = model.backbone.sites, trial.solver.times
    changes = output_changes(model, trial, cache.longest, progress.advance)
    if cache.threshold is not None:
        return policies.similarity(changes, cache.threshold, sites, times)
    return policies.similarity_within(changes, cache.budget, sites, times, costs.multiply_adds(model))


def _file(cache: Calibration, model: Model, trial: SamplingRequest) -> Path | None:
    """Named after all that decides the plan; None for weights that nothing names."""
    if "sketch" not in model.origin:
        return None
    weights = model.origin.get("fingerprint", model.origin["sketch"])
    facts: list[Any] = [METHOD, asdict(cache), model.spec.name, weights, str(model.dtype), model.spec.shape]
    facts += [trial.solver.name, trial.solver.times, trial.guidance, asdict(trial.interval), list(trial.labels)]
    if prompts := trial.prompts:  # the negative one is in the rows alone
        facts += [prompts.texts, prompts.null, dict(prompts.origin), float(prompts.rows.features.double().sum())]
    return cache_folder() / "plans" / f"{model.spec.name}-{cache.name}-{digest(facts)}.json"


def _kept(plan: CachePlan, file: Path) -> str:
    """Write it, and say so; a cache that cannot be written costs the next run its time, and this one nothing."""
    try:
        write_plan(plan, file)
    except OutputError as error:
        return f"{error}; the plan is used, but not kept: DITKIT_CACHE=FOLDER says where it could be"
    return f"the plan is kept in {file}"


def _known(file: Path | None, model: Model, request: SamplingRequest) -> CachePlan | None:
    """A plan that is there and fits; one that is damaged, or that we may not see, is made again."""
    if file is None:
        return None
    try:
        plan = read_plan(file)
        replace(request, plan=plan).check_fits(model)
    except (PlanMismatch, OSError):
        return None
    return plan
