"""DPM-Solver++ 2M (Lu et al. 2022): second order with one evaluation a step, remembering the x0 of the step before.

Alpha and sigma alone define it, so it runs on flows too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ditkit.diffusion.level import CLEAN, Level
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.grids import GRIDS, Visits, check_evaluations, continuous
from ditkit.diffusion.solvers.solver import Denoise, State, transfer
from ditkit.errors import ScheduleError

OWN_GRIDS = ("diffusers", "pixart", *GRIDS[1:])


class Update(NamedTuple):
    """The next x is `x` * x + `x0` * x0 + `last` * the x0 of the step before; `last` is 0 in a first-order step."""

    x: float
    x0: float
    last: float


@dataclass(frozen=True)
class DPMSolverPP:
    times: tuple[float, ...]
    levels: tuple[Level, ...]
    updates: tuple[Update, ...]
    name: str = "dpm-solver++"
    draws: int = 0

    @property
    def steps(self) -> int:
        return len(self.updates)

    def init(self, noise: Tensor | None = None) -> State:
        assert noise is None, "dpm-solver++ adds no noise"
        return None

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        update = self.updates[k]
        x0 = denoise(x, k).to_x0(x, self.levels[k])
        first_order = update.x * x + update.x0 * x0
        if not update.last:
            return first_order, x0
        assert state is not None, "a second-order step needs the step before it"
        return first_order + update.last * state, x0


def dpm_solver_pp(schedule: NoiseSchedule | FlowPath, evaluations: int, *, grid: str | None = None, shift: float = 1.0) -> DPMSolverPP:
    """DPM-Solver++ 2M on a grid of continuous times (`continuous_times`; a flow's default is "even"), or one of a noise schedule's own.

    "diffusers", the default of those: even in whole levels ("linspace" spacing), the last step, of first order, ends clean.
    "pixart": even in continuous time with fractional network times, ends at the cleanest training level; the last step is of first
    order only in runs of fewer than 10. PixArt's own sampler.
    "logsnr": as "pixart", but even in lambda, which the paper's authors advise for small pictures: half of the steps reach a level where
    most of the picture is decided.
    """
    check_evaluations(evaluations)
    if isinstance(schedule, FlowPath):
        return _of(schedule, continuous(schedule, evaluations, grid or "even", shift))
    if shift != 1:
        raise ScheduleError("a shift moves the times of a flow; this model has numbered noise levels, leave out sampler.shift")
    if grid in (None, "diffusers"):
        return _whole_levels(schedule, evaluations)
    if grid not in OWN_GRIDS:
        raise ScheduleError(f"the time grid of dpm-solver++ is {', '.join(map(repr, OWN_GRIDS[:-1]))} or '{OWN_GRIDS[-1]}', not '{grid}'")
    if schedule.steps < 2:
        raise ScheduleError("one noise level is left to start from, and a run ends at the cleanest; give a larger sampler.start")
    return _of(schedule, continuous(schedule, evaluations, "even" if grid == "pixart" else grid))


def _whole_levels(schedule: NoiseSchedule, evaluations: int) -> DPMSolverPP:
    if evaluations >= schedule.steps:
        raise ScheduleError(
            f"dpm-solver++ makes at most {schedule.steps - 1} evaluations on {schedule.steps} noise levels, not {evaluations}"
        )
    indices = np.linspace(0, schedule.steps - 1, evaluations + 1).round().astype(int)[:0:-1].tolist()  # halves to even; 0 is not visited
    levels = [*(schedule.level(index) for index in indices), CLEAN]
    return DPMSolverPP(
        times=tuple(float(index + schedule.first_time) for index in indices),
        levels=tuple(levels[:-1]),
        updates=_updates(levels, first_order_end=True),
    )


def _of(schedule: NoiseSchedule | FlowPath, visits: Visits) -> DPMSolverPP:
    return DPMSolverPP(
        times=tuple(schedule.network_time(t) for t in visits.times),
        levels=tuple(visits.levels),
        updates=_updates([*visits.levels, visits.end], first_order_end=len(visits.times) < 10 or not visits.end.sigma),
    )


def _updates(levels: Sequence[Level], first_order_end: bool) -> tuple[Update, ...]:
    steps = len(levels) - 1
    first = {0, steps - 1} if first_order_end else {0}
    return tuple(
        Update(*transfer(levels[i], levels[i + 1]), 0.0) if i in first else _second_order(*levels[i - 1 : i + 2]) for i in range(steps)
    )


def _second_order(before: Level, here: Level, there: Level) -> Update:
    """Extrapolate x0 linearly in lambda to the middle of the step: x0 + (x0 - last) / 2r (their algorithm 2)."""
    r = (here.lam - before.lam) / (there.lam - here.lam)
    x, x0 = transfer(here, there)
    return Update(x, x0 * (1 + 1 / (2 * r)), -x0 / (2 * r))
