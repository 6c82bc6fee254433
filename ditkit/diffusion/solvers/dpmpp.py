"""DPM-Solver++ 2M (Lu et al. 2022): second order with one evaluation a step, remembering the x0 of the step before.

Deterministic unless eta > 0, which adds noise at every step ("SDE-DPM-Solver++", their appendix D). Alpha and sigma alone define it, so it
runs on flows too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ditkit.diffusion.level import CLEAN, Level
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.grids import GRIDS, Visits, check_evaluations, continuous
from ditkit.diffusion.solvers.solver import Denoise, State, transfer, with_eta
from ditkit.errors import ScheduleError

NAME = "dpm-solver++"
OWN_GRIDS = ("diffusers", "pixart", *GRIDS[1:])


class Update(NamedTuple):
    """The next x is `x` * x + `x0` * x0 + `last` * the x0 of the step before + `noise` * noise; `last` is 0 in a first-order step."""

    x: float
    x0: float
    last: float
    noise: float = 0.0


@dataclass(frozen=True)
class DPMSolverPP:
    """Its state is the last x0; of a run with noise (1 + draws left, B, ...) that, then the noise of the steps that are left."""

    times: tuple[float, ...]
    levels: tuple[Level, ...]
    updates: tuple[Update, ...]
    name: str = NAME

    @property
    def steps(self) -> int:
        return len(self.updates)

    @property
    def draws(self) -> int:
        return sum(update.noise > 0 for update in self.updates)

    def init(self, noise: Tensor | None = None) -> State:
        assert self.draws == (0 if noise is None else len(noise)), "as many noise tensors as draws"
        return None if noise is None else torch.cat([torch.zeros_like(noise[:1]), noise])

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        update = self.updates[k]
        x0 = denoise(x, k).to_x0(x, self.levels[k])
        following = update.x * x + update.x0 * x0
        if not (update.last or self.draws):
            return following, x0
        assert state is not None, "noise, and the step before a second-order step, come with the state"
        if not self.draws:
            return following + update.last * state, x0
        if update.last:
            following = following + update.last * state[0]
        if update.noise:
            following = following + update.noise * state[1]
        return following, torch.cat([x0[None], state[2:]])


def dpm_solver_pp(
    schedule: NoiseSchedule | FlowPath, evaluations: int, *, grid: str | None = None, shift: float = 1.0, eta: float = 0.0
) -> DPMSolverPP:
    """DPM-Solver++ 2M on a grid of continuous times (`continuous_times`; a flow's default is "even"), or one of a noise schedule's own.

    "diffusers", the default of those: even in whole levels ("linspace" spacing), the last step, of first order, ends clean.
    "pixart": even in continuous time with fractional network times, ends at the cleanest training level; the last step is of first
    order only in runs of fewer than 10. PixArt's own sampler.
    "logsnr": as "pixart", but even in lambda, which the paper's authors advise for small pictures: half of the steps reach a level where
    most of the picture is decided.

    `eta` scales the noise of a step: 0 is deterministic, 1 the stochastic differential equation that the diffusion reverses, whose noise
    covers up what earlier steps got wrong.
    """
    check_evaluations(evaluations)
    if isinstance(schedule, FlowPath):
        return _of(schedule, continuous(schedule, evaluations, grid or "even", shift), eta)
    if shift != 1:
        raise ScheduleError("a shift moves the times of a flow; this model has numbered noise levels, leave out sampler.shift")
    if grid in (None, "diffusers"):
        return _whole_levels(schedule, evaluations, eta)
    if grid not in OWN_GRIDS:
        raise ScheduleError(f"the time grid of dpm-solver++ is {', '.join(map(repr, OWN_GRIDS[:-1]))} or '{OWN_GRIDS[-1]}', not '{grid}'")
    if schedule.steps < 2:
        raise ScheduleError("one noise level is left to start from, and a run ends at the cleanest; give a larger sampler.start")
    return _of(schedule, continuous(schedule, evaluations, "even" if grid == "pixart" else grid), eta)


def _whole_levels(schedule: NoiseSchedule, evaluations: int, eta: float) -> DPMSolverPP:
    if evaluations >= schedule.steps:
        raise ScheduleError(
            f"dpm-solver++ makes at most {schedule.steps - 1} evaluations on {schedule.steps} noise levels, not {evaluations}"
        )
    indices = np.linspace(0, schedule.steps - 1, evaluations + 1).round().astype(int)[:0:-1].tolist()  # halves to even; 0 is not visited
    levels = [*(schedule.level(index) for index in indices), CLEAN]
    return DPMSolverPP(
        times=tuple(float(index + schedule.first_time) for index in indices),
        levels=tuple(levels[:-1]),
        name=with_eta(NAME, eta),
        updates=_updates(levels, eta, first_order_end=True),
    )


def _of(schedule: NoiseSchedule | FlowPath, visits: Visits, eta: float) -> DPMSolverPP:
    return DPMSolverPP(
        times=tuple(schedule.network_time(t) for t in visits.times),
        levels=tuple(visits.levels),
        name=with_eta(NAME, eta),
        updates=_updates([*visits.levels, visits.end], eta, first_order_end=len(visits.times) < 10 or not visits.end.sigma),
    )


def _updates(levels: Sequence[Level], eta: float, *, first_order_end: bool) -> tuple[Update, ...]:
    steps = len(levels) - 1
    first = {0, steps - 1} if first_order_end else {0}
    return tuple(
        _first_order(levels[i], levels[i + 1], eta) if i in first else _second_order(levels[i - 1], levels[i], levels[i + 1], eta)
        for i in range(steps)
    )


def _first_order(here: Level, there: Level, eta: float) -> Update:
    """Exact as long as x0 stays the same. Noise of eta h of the step's h in log-SNR is added, and as much of x is forgotten before."""
    if not eta:
        return Update(*transfer(here, there), 0.0)
    added = eta * (there.lam - here.lam)
    x = there.sigma / here.sigma * math.exp(-added)
    x0 = -there.alpha * math.expm1(here.lam - there.lam - added)
    return Update(x, x0, 0.0, there.sigma * math.sqrt(-math.expm1(-2 * added)))


def _second_order(before: Level, here: Level, there: Level, eta: float) -> Update:
    """Extrapolate x0 linearly in lambda to the middle of the step: x0 + (x0 - last) / 2r (their algorithm 2)."""
    r = (here.lam - before.lam) / (there.lam - here.lam)
    x, x0, _, noise = _first_order(here, there, eta)
    return Update(x, x0 * (1 + 1 / (2 * r)), -x0 / (2 * r), noise)
