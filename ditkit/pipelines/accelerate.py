"""`ditkit.accelerate`: while it lasts, a pipeline's denoiser is called only where a plan says so, and forecast elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ditkit.cache.execute import PlanRun
from ditkit.cache.plan import CachePlan, read_plan
from ditkit.errors import PlanMismatch
from ditkit.pipelines.calls import watched
from ditkit.pipelines.clock import Grid
from ditkit.pipelines.denoiser import Denoiser, find, scheduler_of, time_of
from ditkit.pipelines.run import Run, sites_of


@contextmanager
def accelerate(pipe: Any, plan: CachePlan | str | Path, module: str | nn.Module | None = None) -> Iterator[Any]:
    """Run a pipeline by a plan that `calibrate` made for one like it.

    `pipe` is any diffusers pipeline, or anything else that holds its denoiser as `transformer`, `unet` or the attribute named by
    `module`, or a denoiser itself. Nothing of it is patched; on leaving, also by an exception, it is as it was. Of contexts around one
    pipeline the innermost counts. Raises `PlanMismatch` before anything runs for another pipeline, configuration or scheduler, and at the
    first call that differs for another number of steps, shift or way of guidance. A call of the pipeline starts a new run; for a denoiser
    alone a run starts at the first time, and ends where the plan does.
    """
    denoiser = find(pipe, module)
    plan = plan if isinstance(plan, CachePlan) else read_plan(Path(plan))
    check_fits(plan, denoiser)
    runs = _Runs(plan, denoiser, pipe)
    with ExitStack() as stack:
        stack.enter_context(watched(denoiser.module, runs.denoise, alone=denoiser.pipeline is None))
        if denoiser.pipeline is not None:
            stack.enter_context(watched(pipe, runs.run, alone=True))
        yield pipe


def check_fits(plan: CachePlan, denoiser: Denoiser) -> None:
    """Raise `PlanMismatch` unless the plan is of a denoiser like this one, in a pipeline like its own."""
    made = plan.provenance
    if plan.sites != sites_of(len(plan.sites)) or "configuration" not in made:
        raise PlanMismatch(f"the plan is for {plan.model or 'a model'} of ditkit's own; ditkit.calibrate makes one for a pipeline")
    if plan.model != denoiser.known_as:
        raise PlanMismatch(f"the plan was made for {plan.model}, not for {denoiser.known_as}")
    if made["configuration"] != denoiser.configuration:
        raise PlanMismatch(f"the plan was made for a {denoiser.name} of another configuration; ditkit.calibrate makes one for this")
    _check_scheduler(plan, denoiser.scheduler)


def _check_scheduler(plan: CachePlan, scheduler: str | None) -> None:
    if plan.solver != scheduler:
        raise PlanMismatch(f"the plan was made for {plan.solver or 'no scheduler'}, not for {scheduler or 'none'}; make one for it")


class _Runs:
    """The runs that one context sees, one after the other."""

    def __init__(self, plan: CachePlan, denoiser: Denoiser, pipe: Any) -> None:
        self._plan, self._denoiser, self._pipe = plan, denoiser, pipe
        self._grid = Grid(plan.times, len(plan.sites))
        self._current: Run | None = None

    def _new(self) -> Run:
        planned = PlanRun(self._plan)

        def answer(evaluation: int, place: int, compute: Callable[[], Tensor]) -> Tensor:
            return planned.at(evaluation).branch(self._plan.sites[place], compute)

        return Run(self._grid, answer)

    def run(self, call: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of the pipeline: a run from its first evaluation to its last."""
        _check_scheduler(self._plan, scheduler_of(self._pipe))
        self._current = self._new()
        try:
            result = call()
            self._current.clock.finish()
        finally:
            self._current = None
        return result

    def denoise(self, call: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of the denoiser; another pipeline's, which shares it, goes through."""
        alone = self._denoiser.pipeline is None
        if self._current is None and not alone:
            return call()
        time = time_of(self._denoiser.module, args, kwargs)
        if self._current is None or (alone and self._current.clock.made == self._grid.length):
            self._current = self._new()
        try:
            return self._current(time, call)
        except BaseException:
            self._current = None if alone else self._current  # the next call starts anew
            raise
