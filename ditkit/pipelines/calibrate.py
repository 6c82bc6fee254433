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
from ditkit.pipelines.choice import chosen, tried
from ditkit.pipelines.clock import Grid
from ditkit.pipelines.denoiser import Denoiser, find, input_of, time_of
from ditkit.pipelines.outputs import packed
from ditkit.pipelines.run import Answer, Run, sites_of

RESPONDING = 4  # prompts, of which a search sees how their runs respond
LEAST = 2  # prompts: one would be fitted exactly and forecast nothing else


def calibrate(
    pipe: Any,
    prompts: Sequence[asking.Asked],
    steps: int,
    budget: float = 0.5,
    *,
    order: int = 2,
    seed: int = 0,
    search: bool = False,
    module: str | nn.Module | None = None,
    on_run: Callable[[], None] | None = None,
    **arguments: Any,
) -> CachePlan:
    """A plan that calls the denoiser at a share of `budget` of the evaluations, and forecasts it from its last `order` outputs elsewhere.

    The pipeline runs once on every prompt, plus once on the first to see its times, with `steps` as its num_inference_steps, seeds from
    `seed` on and whatever other `arguments` its later runs will have (guidance, size). Evaluations are spread evenly, or, by a `search`
    of about seven more runs on each of the first prompts, chosen by how far a run's end moves with each. The weights of the forecasts are
    solved for in closed form on what the runs so far meet. `on_run` is told of every run. Raises `PlanMismatch` for a pipeline without a
    denoiser or with outputs that are no tensors, `RequestError` for fewer than two prompts.
    """
    if isinstance(prompts, str | Mapping) or len(prompts) < LEAST:
        raise RequestError(f"a plan is calibrated on at least {LEAST} prompts; give a list of them")
    if not 1 <= order <= MOST:
        raise RequestError(f"a forecast is made from the last 1 to {MOST} outputs, not {order}")
    denoiser = find(pipe, module)

    def run(index: int, around: Around) -> Any:
        with watched(denoiser.module, around), torch.inference_mode():
            result = pipe(**asking.arguments(pipe, prompts[index], steps, seed + index, arguments))
        if on_run:
            on_run()
        return result

    def pipeline(index: int, through: Run) -> Any:
        result = run(index, lambda call, args, kwargs: through(time_of(denoiser.module, args, kwargs), call))
        through.clock.finish()
        return result

    listener = Listener(denoiser)
    run(0, listener)
    grid = Grid.of(listener.times)
    draft = _draft(denoiser, grid, budget)
    if search and (skipped := [row[0] for row in draft.compute].count(False)):
        few = range(min(len(prompts), RESPONDING))
        draft = _skipping(draft, chosen(pipeline, few, grid, skipped, order, listener.counted))
    fits = [Fit(drafted(draft.column(column), order), listener.counted) for column in range(grid.calls)]
    for index in range(len(prompts)):
        pipeline(index, Run(grid, _fitting(fits)))
    weights = {(at, column): cell for column, fit in enumerate(fits) for at, cell in enumerate(fit.cells()) if cell}
    provenance = {**draft.provenance, "order": order, "prompts": len(prompts), "configuration": denoiser.configuration}
    return replace(draft, forecast=weights, provenance={**provenance, "denoiser": denoiser.name})


class Listener:
    """Notes what times the denoiser is told in a run, and which part of its outputs decides the run."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.times: list[float] = []
        self._variance = False

    def __call__(self, call: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.times.append(time_of(self._denoiser.module, args, kwargs))
        returned = call()
        output, noisy = packed(returned)[0], input_of(self._denoiser.module, args, kwargs)
        self._variance = (
            isinstance(noisy, Tensor) and output.ndim > 2 and output.shape == (noisy.shape[0], 2 * noisy.shape[1], *noisy.shape[2:])
        )
        return returned

    def counted(self, output: Tensor) -> Tensor:
        """All of it, or the noise alone where a learned variance comes along in as many channels again."""
        return output.chunk(2, dim=1)[0] if self._variance else output


def _fitting(fits: Sequence[Fit]) -> Answer:
    places = [FittedPlace(fit) for fit in fits]
    return lambda evaluation, place, compute: places[place](evaluation, compute)


def runs_of(prompts: int, steps: int, *, search: bool = False) -> int:
    """How often a calibration runs the pipeline; of those of a search half is computed on average."""
    return 1 + prompts + (min(prompts, RESPONDING) * (1 + len(tried(steps))) if search else 0)


def _skipping(plan: CachePlan, skipped: frozenset[int]) -> CachePlan:
    """The plan with these evaluations forecast instead of its own."""
    rows = tuple((evaluation not in skipped,) * len(plan.sites) for evaluation in range(plan.evaluations))
    return replace(plan, compute=rows, provenance={**plan.provenance, "chosen": "by the response"})


def _draft(denoiser: Denoiser, grid: Grid, budget: float) -> CachePlan:
    """Which evaluations are forecast; the weights are still to be fitted."""
    plan = spread_whole(budget, (), sites_of(grid.calls), grid.times)
    provenance = {"policy": "forecast", "of": "pipeline", "budget": budget}
    return replace(plan, whole={}, model=denoiser.known_as, solver=denoiser.scheduler, provenance=provenance)
