"""Where in its run a pipeline is, from the times that it tells its denoiser; counting alone would not notice another run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ditkit.errors import PlanMismatch

ROUNDING = 2**-8  # of a time: bfloat16's
DIGITS = 6  # of a time in a plan's file
TOLERANCE = 5e-4  # of the first, noisiest time


@dataclass(frozen=True)
class Grid:
    """The times of a run's evaluations, and how often each is named: twice where guidance takes two calls."""

    times: tuple[float, ...]
    calls: int

    @classmethod
    def of(cls, told: Sequence[float]) -> "Grid":
        """The grid of a run in which the denoiser was told these times: if every one came equally often in a row, calls of one step."""
        rows: list[list[float]] = []
        for time in (round(each, DIGITS) for each in told):
            if rows and rows[-1][0] == time:
                rows[-1].append(time)
            else:
                rows.append([time])
        counts = {len(row) for row in rows}
        if len(counts) == 1:
            return cls(tuple(row[0] for row in rows), counts.pop())
        return cls(tuple(row[0] for row in rows for _ in row), 1)  # such as a solver that evaluates some times twice

    @property
    def length(self) -> int:
        return len(self.times) * self.calls


class Clock:
    """The place of each call of one run: its evaluation and which of that evaluation's calls it is. Make a new one for every run."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.made = grid, 0

    def tick(self, time: float) -> tuple[int, int]:
        """Where the call is that names this time; raises `PlanMismatch` if the plan's run is somewhere else."""
        grid = self.grid
        if self.made == grid.length:
            raise PlanMismatch(f"the plan covers {len(grid.times)} evaluations, and this run goes on at time {time:g}; use as many steps")
        evaluation, call = divmod(self.made, grid.calls)
        if not math.isclose(time, grid.times[evaluation], rel_tol=ROUNDING, abs_tol=TOLERANCE * abs(grid.times[0])):
            if call:
                raise PlanMismatch(
                    f"the plan is for {grid.calls} calls of the denoiser at each step, as guidance took; here it makes {call}"
                )
            raise PlanMismatch(
                f"the plan was made for another run: evaluation {evaluation} is at time {grid.times[evaluation]:g}, this run's is at "
                f"time {time:g}; use its {len(grid.times)} evaluations, scheduler and shift, or make another plan"
            )
        self.made += 1
        return evaluation, call

    def finish(self) -> None:
        """Raise `PlanMismatch` if the run has ended before its last evaluation."""
        if self.made < self.grid.length:
            made = self.made // self.grid.calls
            raise PlanMismatch(f"the plan covers {len(self.grid.times)} evaluations, and this run ended after {made}; use as many steps")
