"""Which continuous times a run visits, on any schedule."""

import math
from typing import NamedTuple

import numpy as np

from ditkit.diffusion.flow import EDGE
from ditkit.diffusion.level import CLEAN, Level, Schedule
from ditkit.errors import ScheduleError

GRIDS = ("even", "logsnr", "karras", "lu")
RHO = 7.0  # Karras et al. 2022, eq. 5


class Visits(NamedTuple):
    """The times of the evaluations, noisiest first, their levels, and the level at which a run ends."""

    times: list[float]
    levels: list[Level]
    end: Level


def continuous_times(schedule: Schedule, intervals: int, grid: str = "even", shift: float = 1.0) -> list[float]:
    """The ends of so many intervals, from the schedule's noisiest to its cleanest time.

    "even": in time, moved by `shift` to shift u / (1 + (shift - 1) u), more of them at the noisy end for large pictures (Esser et al.
    2024, eq. 23). "logsnr": even in the log signal-to-noise ratio lambda. "karras": even in (sigma / alpha)^(1/7) down to the cleanest
    level but for the last interval, which ends clean; "lu": the same, even in lambda (Lu et al. 2022). Where lambda is infinite at an
    end of a path, what is between is laid out as if it were 0.001 away from that end.
    """
    check_evaluations(intervals)
    if not (math.isfinite(shift) and shift > 0):
        raise ScheduleError(f"the shift of a time grid is a number above 0, not {shift:g}")
    if grid not in GRIDS:
        *others, last = map(repr, GRIDS)
        raise ScheduleError(f"a time grid is {', '.join(others)} or {last}, not '{grid}'")
    if grid == "even":
        times = np.linspace(schedule.noisiest, schedule.cleanest, intervals + 1)
        return (shift * times / (1 + (shift - 1) * times)).tolist() if shift != 1 else times.tolist()
    if shift != 1:
        raise ScheduleError(f"a shift moves the times of grid 'even'; grid '{grid}' says itself where they are")
    noisy, clean = schedule.level_at(schedule.noisiest), schedule.level_at(schedule.cleanest or EDGE)
    if not noisy.alpha:
        noisy = schedule.level_at(1 - EDGE)
    points = intervals + 1 if grid == "logsnr" else intervals
    if grid == "karras":
        roots = np.linspace(math.exp(-noisy.lam / RHO), math.exp(-clean.lam / RHO), points)
        lams = -RHO * np.log(roots)
    else:
        lams = np.linspace(noisy.lam, clean.lam, points)
    inside = lams[1:-1] if grid == "logsnr" else lams[1:]
    return [schedule.noisiest, *(schedule.time_at(float(lam)) for lam in inside), schedule.cleanest]


def continuous(schedule: Schedule, evaluations: int, grid: str = "even", shift: float = 1.0) -> Visits:
    """One evaluation at the beginning of every interval; "karras" and "lu" end clean, the others at the cleanest level."""
    *times, last = continuous_times(schedule, evaluations, grid, shift)
    end = CLEAN if grid in ("karras", "lu") else schedule.level_at(last)
    return Visits(times, [schedule.level_at(t) for t in times], end)


def check_evaluations(evaluations: int) -> None:
    if evaluations < 1:
        raise ScheduleError(f"a sampler needs at least 1 evaluation, not {evaluations}")
