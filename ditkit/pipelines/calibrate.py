"""`ditkit.calibrate`: a plan for a pipeline, from runs of the pipeline itself on a few prompts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.cache.fit import Fit, FittedPlace, drafted
from ditkit.cache.forecast import MOST
from ditkit.cache.plan import CachePlan
from ditkit.cache.policies import spread_whole
from ditkit.errors import RequestError
from ditkit.pipelines import asking
from ditkit.pipelines.calls import Around, watched
from ditkit.pipelines.choice import chosen
from ditkit.pipelines.clock import Grid
from ditkit.pipelines.denoiser import Denoiser, find, time_of
from ditkit.pipelines.listener import Listener
from ditkit.pipelines.outputs import packed
from ditkit.pipelines.run import Answer, Run, sites_of

LEAST = 2  # prompts: one would be fitted exactly and forecast nothing else


def calibrate(
    pipe: Any,
    prompts: Sequence[asking.Asked],
    steps: int,
    budget: float = 0.5,
    *,
    order: int = 2,
    seed: int = 0,
    module: str | nn.Module | None = None,
    on_run: Callable[[], None] | None = None,
    **arguments: Any,
) -> CachePlan:
    """A plan that calls the denoiser at a share of `budget` of the evaluations, and forecasts it from its last `order` outputs elsewhere.

    The pipeline runs on every prompt once, with `steps` as its num_inference_steps, seeds from `seed` on and whatever other `arguments`
    its later runs will have (guidance, size). Every other run, or of fewer than four prompts the first, which then runs again, is one
    without a plan, by which evaluations are chosen; on the rest the weights of the forecasts are solved for in closed form. `on_run` is
    told of every run. Raises `PlanMismatch` for a pipeline without a denoiser or with outputs that are no tensors, `RequestError` for fewer
    than two prompts, and for runs whose numbers are not finite.
    """
    if isinstance(prompts, str | Mapping) or len(prompts) < LEAST:
        raise RequestError(f"a plan is calibrated on at least {LEAST} prompts; give a list of them")
    if not 1 <= order <= MOST:
        raise RequestError(f"a forecast is made from the last 1 to {MOST} outputs, not {order}")
    denoiser = find(pipe, module)

    def run(index: int, around: Around) -> None:
        finite: list[Tensor] = []
        with watched(denoiser.module, _finite(finite, around)), torch.inference_mode():
            pipe(**asking.arguments(pipe, prompts[index], steps, seed + index, arguments))
        if (first := next((call for call, whole in enumerate(finite, 1) if not bool(whole)), None)) is not None:
            what = f"the numbers of {denoiser.known_as} on '{prompts[index]}' stopped being finite"
            raise RequestError(f"{what}, first in call {first} of its network; load it in bfloat16 or float32")
        if on_run:
            on_run()

    listened, fitted = shares(len(prompts))
    listeners = [Listener(denoiser) for _ in listened]
    for index, listener in zip(listened, listeners, strict=True):
        run(index, listener)
    grid, counted = Grid.of(listeners[0].times), listeners[0].counted
    draft = _draft(denoiser, grid, budget)
    if skipped := [row[0] for row in draft.compute].count(False):
        recorded = [found for listener in listeners if (found := listener.recorded(grid))]
        choice = chosen(recorded, getattr(pipe, "scheduler", None), grid.times, skipped, order)
        draft = draft if choice is None else _skipping(draft, choice)
    fits = [Fit(drafted(draft.column(column), order), counted) for column in range(grid.calls)]
    for index in fitted:
        fitting = Run(grid, _fitting(fits))
        run(index, lambda call, args, kwargs, fitting=fitting: fitting(time_of(denoiser.module, args, kwargs), call))
        fitting.clock.finish()
    weights = {(at, column): cell for column, fit in enumerate(fits) for at, cell in enumerate(fit.cells()) if cell}
    provenance = {**draft.provenance, "order": order, "prompts": len(prompts), "configuration": denoiser.configuration}
    return replace(draft, forecast=weights, provenance={**provenance, "denoiser": denoiser.name})


def _finite(found: list[Tensor], around: Around) -> Around:
    """The same, and for each call that is made whether all that it returned is finite, which nothing waits for."""

    def heard(call: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def made() -> Any:
            returned = call()
            found.append(packed(returned)[0].isfinite().all())
            return returned

        return around(made, args, kwargs)

    return heard


def shares(prompts: int) -> tuple[range, range]:
    """Which prompts are run without a plan, and which ones the weights are fitted on."""
    return (range(0, prompts, 2), range(1, prompts, 2)) if prompts >= 2 * LEAST else (range(1), range(prompts))


def _fitting(fits: Sequence[Fit]) -> Answer:
    places = [FittedPlace(fit) for fit in fits]
    return lambda evaluation, place, compute: places[place](evaluation, compute)


def _skipping(plan: CachePlan, skipped: frozenset[int]) -> CachePlan:
    """The plan with these evaluations forecast instead of its own."""
    rows = tuple((evaluation not in skipped,) * len(plan.sites) for evaluation in range(plan.evaluations))
    return replace(plan, compute=rows, provenance={**plan.provenance, "chosen": "in miniature"})


def _draft(denoiser: Denoiser, grid: Grid, budget: float) -> CachePlan:
    """Which evaluations are forecast; the weights are still to be fitted."""
    plan = spread_whole(budget, (), sites_of(grid.calls), grid.times)
    provenance = {"policy": "forecast", "of": "pipeline", "budget": budget}
    return replace(plan, whole={}, model=denoiser.known_as, solver=denoiser.scheduler, provenance=provenance)
