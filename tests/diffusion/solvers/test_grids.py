import math
from itertools import pairwise

import numpy as np
import pytest

from ditkit.diffusion.schedule import linear, linear_flow, vp_flow
from ditkit.diffusion.solvers.grids import GRIDS, continuous, continuous_times
from ditkit.errors import ScheduleError
from tests.closeness import near

SCHEDULES = {"linear flow": linear_flow(), "noise": linear(), "vp flow": vp_flow().of("epsilon")}
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


@each_schedule
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("intervals", [1, 2, 5, 50])
def test_a_grid_falls_from_the_noisiest_to_the_cleanest_time(schedule, grid: str, intervals: int) -> None:
    times = continuous_times(schedule, intervals, grid)
    assert len(times) == intervals + 1
    assert (times[0], times[-1]) == (schedule.noisiest, schedule.cleanest)
    assert all(here >= there for here, there in pairwise(times))


def test_a_shift_is_that_of_large_pictures() -> None:
    """Esser et al. 2024, eq. 23: what divides the signal-to-noise ratio of every time by the square of the shift."""
    plain, shifted = (continuous_times(linear_flow(), 8, shift=shift) for shift in (1.0, 3.0))
    assert shifted == near([3 * u / (1 + 2 * u) for u in plain])
    for before, after in zip(plain[1:-1], shifted[1:-1], strict=True):
        assert linear_flow().level_at(before).lam - linear_flow().level_at(after).lam == near(math.log(3))


@each_schedule
def test_grids_are_even_in_what_they_are_named_after(schedule) -> None:
    lams = [level.lam for level in continuous(schedule, 20, "lu").levels[1:]]
    assert np.diff(lams).tolist() == near([np.diff(lams).mean()] * (len(lams) - 1), within=0.05 * abs(np.diff(lams).mean()))
    ratios = [(level.sigma / level.alpha) ** (1 / 7) for level in continuous(schedule, 20, "karras").levels[1:]]
    assert np.diff(ratios).tolist() == near([np.diff(ratios).mean()] * (len(ratios) - 1), within=0.05 * abs(np.diff(ratios).mean()))
    assert continuous(schedule, 20, "karras").end.sigma == 0
    assert continuous(schedule, 20, "logsnr").end == schedule.level_at(schedule.cleanest)


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ScheduleError, match="a time grid is 'even', 'logsnr', 'karras' or 'lu', not 'evn'"):
        continuous_times(linear_flow(), 8, "evn")
    with pytest.raises(ScheduleError, match="the shift of a time grid is a number above 0, not 0"):
        continuous_times(linear_flow(), 8, shift=0.0)
    with pytest.raises(ScheduleError, match="a shift moves the times of grid 'even'; grid 'lu' says itself where they are"):
        continuous_times(linear_flow(), 8, "lu", shift=2.0)
    with pytest.raises(ScheduleError, match="at least 1 evaluation, not 0"):
        continuous_times(linear_flow(), 0)
