"""Runge-Kutta solvers of the probability-flow ODE in flow time: Euler, Heun and their relatives, as flows are published with.

A network that predicts a velocity is integrated as it is; any other prediction is turned into one at every stage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from ditkit.diffusion.level import Level, Schedule
from ditkit.diffusion.solvers.grids import continuous_times
from ditkit.diffusion.solvers.solver import Denoise, State


class Tableau(NamedTuple):
    """Butcher's: at which part of a step each stage is, what it weighs of the slopes before it, and what the step weighs of them all."""

    nodes: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


EULER = Tableau((0.0,), ((),), (1.0,))
HEUN = Tableau((0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2))
MIDPOINT = Tableau((0.0, 1 / 2), ((), (1 / 2,)), (0.0, 1.0))
HEUN3 = Tableau((0.0, 1 / 3, 2 / 3), ((), (1 / 3,), (0.0, 2 / 3)), (1 / 4, 0.0, 3 / 4))
RK4 = Tableau(  # the 3/8 rule
    (0.0, 1 / 3, 2 / 3, 1.0), ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)), (1 / 8, 3 / 8, 3 / 8, 1 / 8)
)
TABLEAUS = {"euler": EULER, "heun": HEUN, "midpoint": MIDPOINT, "heun3": HEUN3, "rk4": RK4}
OF_STAGES = {1: EULER, 2: HEUN, 3: HEUN3}
"""For the last step, where fewer evaluations are left than one takes."""


class Step(NamedTuple):
    """The first of its evaluations, and its tableau times the length of the step in flow time."""

    first: int
    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class RungeKutta:
    times: tuple[float, ...]
    levels: tuple[Level, ...]
    plan: tuple[Step, ...]
    name: str
    draws: int = 0

    @property
    def steps(self) -> int:
        return len(self.plan)

    def init(self, noise: Tensor | None = None) -> State:
        assert noise is None, f"{self.name} adds no noise"
        return None

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        first, stages, weights = self.plan[k]
        slopes: list[Tensor] = []
        for evaluation, stage in enumerate(stages, first):
            at = _moved(x, stage, slopes)
            slopes.append(denoise(at, evaluation).to_velocity(at, self.levels[evaluation]))
        return _moved(x, weights, slopes), state


def _moved(x: Tensor, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    moved = x
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            moved = moved + weight * slope
    return moved


def runge_kutta(name: str, schedule: Schedule, evaluations: int, *, grid: str = "even", shift: float = 1.0) -> RungeKutta:
    """The solver of that name on a grid of continuous times (`continuous_times`).

    A step of s stages takes s evaluations; if the last one is left fewer, it is of that many stages.
    """
    tableau = TABLEAUS[name]
    each = len(tableau.nodes)
    times: list[float] = []
    plan: list[Step] = []
    for here, there in pairwise(continuous_times(schedule, -(-evaluations // each), grid, shift)):
        nodes, stages, weights = tableau if evaluations - len(times) >= each else OF_STAGES[evaluations - len(times)]
        length = here - there
        scaled = tuple(tuple(length * part for part in stage) for stage in stages)
        plan.append(Step(len(times), scaled, tuple(length * part for part in weights)))
        times += [there if node == 1 else here - length * node for node in nodes]
    return RungeKutta(
        times=tuple(schedule.network_time(t) for t in times),
        levels=tuple(schedule.level_at(t) for t in times),
        plan=tuple(plan),
        name=name,
    )


RUNGE_KUTTAS: dict[str, Callable[..., RungeKutta]] = {name: partial(runge_kutta, name) for name in TABLEAUS}
