"""The reverse SDE of a path, dx = (v + w score) dt + sqrt(2 w) dW in flow time t (Ma et al. 2024): Euler-Maruyama and stochastic Heun.

Whatever w(t) >= 0 is, the marginals are those of the flow; it decides how much of a sample is drawn anew on the way.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from ditkit.diffusion.level import Level, Schedule
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.solvers.grids import check_evaluations
from ditkit.diffusion.solvers.solver import Denoise, State
from ditkit.errors import ScheduleError

Last = Literal["mean", "tweedie", "euler", "none"]
LASTS: tuple[Last, ...] = ("mean", "tweedie", "euler", "none")
LAST_STEP = 0.04  # as published


def _sbdm(norm: float, level: Level, t: float) -> float:
    """Half of the squared diffusion coefficient of the forward process: sigma^2 alpha'/alpha - sigma sigma'."""
    return norm * (level.sigma**2 * level.d_alpha / level.alpha - level.sigma * level.d_sigma) if level.alpha else math.inf


FORMS: dict[str, Callable[[float, Level, float], float]] = {
    "constant": lambda norm, level, t: norm,
    "sbdm": _sbdm,
    "sigma": lambda norm, level, t: norm * level.sigma,
    "linear": lambda norm, level, t: norm * (1 - t),
    "decreasing": lambda norm, level, t: 0.25 * (norm * math.cos(math.pi * t) + 1) ** 2,
    "increasing-decreasing": lambda norm, level, t: norm * math.sin(math.pi * t) ** 2,
}
"""w(norm, level, flow time), as SiT publishes them."""


class Step(NamedTuple):
    """The first of its evaluations, its length in flow time, the deviation of its noise, and w at each of its evaluations."""

    first: int
    length: float
    noise: float
    w: tuple[float, ...]


@dataclass(frozen=True)
class Stochastic:
    """`plan` are the steps that draw noise; after them, unless `last` is "none", one evaluation makes the rest of the way, `rest`."""

    times: tuple[float, ...]
    levels: tuple[Level, ...]
    plan: tuple[Step, ...]
    last: Last
    rest: float
    last_w: float
    name: str

    @property
    def steps(self) -> int:
        return len(self.plan) + (self.last != "none")

    @property
    def draws(self) -> int:
        return len(self.plan)

    def init(self, noise: Tensor | None = None) -> State:
        assert self.draws == (0 if noise is None else len(noise)), "as many noise tensors as draws"
        return noise

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        if k == len(self.plan):
            return self._last(denoise, x), state
        assert state is not None
        first, length, noise, w = self.plan[k]
        if len(w) == 1:
            return x + length * self._drift(denoise(x, first), x, first, w[0]) + noise * state[k], state
        noisy = x + noise * state[k]
        begins = self._drift(denoise(noisy, first), noisy, first, w[0])
        ahead = noisy + length * begins
        ends = self._drift(denoise(ahead, first + 1), ahead, first + 1, w[1])
        return noisy + length / 2 * (begins + ends), state

    def _drift(self, prediction: Prediction, x: Tensor, evaluation: int, w: float) -> Tensor:
        level = self.levels[evaluation]
        velocity = prediction.to_velocity(x, level)
        return velocity + w * prediction.to_score(x, level) if w else velocity

    def _last(self, denoise: Denoise, x: Tensor) -> Tensor:
        evaluation = len(self.times) - 1
        prediction = denoise(x, evaluation)
        if self.last == "tweedie":
            return prediction.to_x0(x, self.levels[evaluation])
        return x + self.rest * self._drift(prediction, x, evaluation, self.last_w if self.last == "mean" else 0.0)


def stochastic(
    name: str,
    schedule: Schedule,
    evaluations: int,
    *,
    form: str = "sigma",
    norm: float = 1.0,
    last: Last = "mean",
    last_step: float = LAST_STEP,
) -> Stochastic:
    """The solver of that name, with `form` and `norm` of w, in steps of even length up to flow time 1 - `last_step`; one ends the way.

    That one is "mean" (drift without noise), "euler" (the velocity alone) or "tweedie" (the expected x0); "none" takes all steps to the
    end alike. Where an odd evaluation is left to "stochastic-heun", its last noisy step is Euler-Maruyama's. Raises `ScheduleError` for
    a form that is infinite, or a score that is not told, where the run would evaluate it.
    """
    check_evaluations(evaluations)
    _check(form, norm, last, last_step)
    noisy = evaluations - (last != "none")
    each = 2 if name == "stochastic-heun" else 1
    begin, end = 1 - schedule.noisiest, 1 - schedule.cleanest if last == "none" else 1 - last_step
    if begin >= end:
        raise ScheduleError(f"a run that begins at flow time {begin:g} cannot end at {end:g}; lower sampler.last_step")
    points = np.linspace(begin, end, -(-noisy // each) + 1).tolist()
    visited: list[float] = []
    plan: list[Step] = []
    for here, there in pairwise(points):
        own = [here, there][: min(each, noisy - len(visited))]
        strengths = tuple(_strength(schedule, form, norm, t) for t in own)
        plan.append(Step(len(visited), there - here, math.sqrt(2 * strengths[0] * (there - here)), strengths))
        visited += own
    if last != "none":
        visited.append(points[-1])
    levels = tuple(schedule.level_at(1 - t) for t in visited)
    if not levels[-1].sigma:
        raise ScheduleError("at the end of this path no score is told; keep a last step, or end before with sampler.edge=0.001")
    return Stochastic(
        times=tuple(schedule.network_time(1 - t) for t in visited),
        levels=levels,
        plan=tuple(plan),
        last=last,
        rest=1 - points[-1],
        last_w=_strength(schedule, form, norm, points[-1]) if last == "mean" else 0.0,
        name=name,
    )


def _strength(schedule: Schedule, form: str, norm: float, t: float) -> float:
    w = FORMS[form](norm, schedule.level_at(1 - t), t)
    if not math.isfinite(w):
        raise ScheduleError(f"diffusion form '{form}' is infinite where this path is noise alone; begin later with sampler.edge=0.05")
    return w


def _check(form: str, norm: float, last: str, last_step: float) -> None:
    for kind, value, known in (("diffusion form", form, tuple(FORMS)), ("last step", last, LASTS)):
        if value not in known:
            raise ScheduleError(f"the {kind} is {', '.join(map(repr, known[:-1]))} or '{known[-1]}', not '{value}'")
    if not (math.isfinite(norm) and norm >= 0):
        raise ScheduleError(f"the norm of the diffusion is a number of at least 0, not {norm:g}")
    if not 0 < last_step < 1:
        raise ScheduleError(f"the last step is between 0 and 1 long, not {last_step:g}")
