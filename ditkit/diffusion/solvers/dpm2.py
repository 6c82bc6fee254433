"""DPM-Solver-2, single-step (Lu et al. 2022): second order with two evaluations a step, on x0 predictions, as U-ViT runs it."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.grids import check_evaluations
from ditkit.diffusion.solvers.solver import Denoise, State, Transfer, transfer
from ditkit.errors import ScheduleError


class Update(NamedTuple):
    """From the start of the step to its midpoint, where the second evaluation is; None in a first-order step. And to its end."""

    midpoint: Transfer | None
    end: Transfer


@dataclass(frozen=True)
class DPMSolver2:
    times: tuple[float, ...]
    levels: tuple[Level, ...]
    updates: tuple[Update, ...]
    name: str = "dpm-solver-2"
    draws: int = 0

    @property
    def steps(self) -> int:
        return len(self.updates)

    def init(self, noise: Tensor | None = None) -> State:
        assert noise is None, "dpm-solver-2 adds no noise"
        return None

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        midpoint, end = self.updates[k]
        e = 2 * k
        x0 = denoise(x, e).to_x0(x, self.levels[e])
        if midpoint is not None:
            u = midpoint.x * x + midpoint.x0 * x0
            x0 = denoise(u, e + 1).to_x0(u, self.levels[e + 1])
        return end.x * x + end.x0 * x0, state


def dpm_solver_2(schedule: NoiseSchedule | FlowPath, evaluations: int) -> DPMSolver2:
    """Steps of even length in continuous time from 1 to 1 / schedule.steps, the level where the run ends (no jump to clean).

    The first evaluation of a step serves only to find the midpoint, half way in log-SNR; the second makes the step. An odd
    number of evaluations leaves one for the last step, which is then of first order.
    """
    check_evaluations(evaluations)
    if isinstance(schedule, FlowPath):
        raise ScheduleError("dpm-solver-2 needs a finite log-SNR at both ends, which a flow has not; use dpm-solver++ or heun")
    grid = np.linspace(1, 1 / schedule.steps, (evaluations + 1) // 2 + 1).tolist()
    times: list[float] = []
    updates: list[Update] = []
    for here, there in pairwise(grid):
        times.append(here)
        start, end = schedule.level_at(here), schedule.level_at(there)
        midpoint = None
        if len(times) < evaluations:
            times.append(schedule.time_at((start.lam + end.lam) / 2))
            midpoint = transfer(start, schedule.level_at(times[-1]))
        updates.append(Update(midpoint, transfer(start, end)))
    return DPMSolver2(
        times=tuple(schedule.network_time(t) for t in times),
        levels=tuple(schedule.level_at(t) for t in times),
        updates=tuple(updates),
    )
