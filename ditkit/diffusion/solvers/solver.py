"""What every solver is: tables of Python floats, made once, and one step that returns its state.

A step never asks the device for a number, so that a host far ahead of a GPU stays ahead.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import DiffusionTables, NoiseSchedule
from ditkit.diffusion.solvers.grids import check_evaluations
from ditkit.errors import ScheduleError

STRIDES = ("ddim", "leading", "trailing")  # time grids of a constant stride

Denoise = Callable[[Tensor, int], Prediction]
"""What the network says of a noisy sample at the evaluation of that index."""

State = Tensor | None
"""What one step hands to the next: the run's noise, or the last x0. Only the solver that made it may look inside."""


class Solver(Protocol):
    """A run of `steps` solver steps that makes len(`times`) network evaluations, noisiest first.

    `times` is what the network is told at each evaluation, `levels` how noisy its input is, `draws` how many noise tensors the
    steps use up. Evaluations and steps are counted apart: a single-step solver of second order evaluates twice a step.
    """

    @property
    def name(self) -> str: ...
    @property
    def times(self) -> tuple[float, ...]: ...
    @property
    def levels(self) -> tuple[Level, ...]: ...
    @property
    def steps(self) -> int: ...
    @property
    def draws(self) -> int: ...

    def init(self, noise: Tensor | None = None) -> State:
        """The state before the first step; `noise` is (draws, B, ...), needless if `draws` is 0."""
        ...

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        """Take solver step k of `steps` from x (B, ...)."""
        ...


def with_eta(name: str, eta: float) -> str:
    """The name of a solver that adds eta of the noise it could, to which no plan fits that was made without; raises `ScheduleError`."""
    if not 0 <= eta <= 1:
        raise ScheduleError(f"eta is between 0 and 1, not {eta:g}")
    return f"{name} with eta {eta:g}" if eta else name


class Transfer(NamedTuple):
    """x at the next level = `x` * x + `x0` * x0."""

    x: float
    x0: float


def transfer(here: Level, there: Level) -> Transfer:
    """The step between two levels that is exact as long as x0 stays the same (first-order DPM-Solver++, Lu et al. 2022)."""
    return Transfer(there.sigma / here.sigma, -there.alpha * math.expm1(here.lam - there.lam))


def respaced_tables(schedule: NoiseSchedule, evaluations: int, grid: str, shift: float = 1.0) -> DiffusionTables:
    """The tables of the levels to visit: `grid` is "even", one of `STRIDES`, or a spec that `respace` reads."""
    check_evaluations(evaluations)
    if shift != 1:
        raise ScheduleError("a shift moves the times of a flow; this model has numbered noise levels, leave out sampler.shift")
    tables = schedule.respaced(f"{'' if grid == 'even' else grid}{evaluations}" if grid in ("even", *STRIDES) else grid)
    if len(tables.timesteps) != evaluations:
        raise ScheduleError(f"time grid '{grid}' has {len(tables.timesteps)} evaluations, this run makes {evaluations}")
    return tables
