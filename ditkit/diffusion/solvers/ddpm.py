"""Ancestral sampling: DDPM (Ho et al. 2020) with a fixed variance, or one the network interpolates (Nichol & Dhariwal 2021)."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import DiffusionTables, FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.solver import Denoise, State, respaced_tables
from ditkit.errors import ScheduleError

Variance = Literal["learned", "fixedsmall", "fixedlarge"]


class Update(NamedTuple):
    """The next mean is `x0` * x0 + `x` * x; the log deviation is `log_std` + `slope` * the network's variance output."""

    x0: float
    x: float
    log_std: float
    slope: float


@dataclass(frozen=True)
class DDPM:
    times: tuple[float, ...]
    levels: tuple[Level, ...]
    updates: tuple[Update, ...]
    name: str = "ddpm"

    @property
    def steps(self) -> int:
        return len(self.updates)

    @property
    def draws(self) -> int:
        return self.steps - 1  # the last step ends at its mean

    def init(self, noise: Tensor | None = None) -> State:
        assert self.draws == (0 if noise is None else len(noise)), "as many noise tensors as draws"
        return noise

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        update = self.updates[k]
        prediction = denoise(x, k)
        mean = update.x0 * prediction.to_x0(x, self.levels[k]) + update.x * x
        if k == self.draws:
            return mean, state
        assert state is not None
        return mean + _std(update, prediction, x.dtype) * state[k], state


def ddpm(schedule: NoiseSchedule | FlowPath, evaluations: int, *, grid: str = "even", variance: Variance = "learned") -> DDPM:
    """DDPM on the levels of `grid` (as for `ddim`).

    `variance` of a step: "fixedsmall" that of the posterior q(x_prev | x, x0), "fixedlarge" beta, "learned" what the network
    predicts between the two. Raises `ScheduleError` in the first step if "learned" is asked of a network that predicts none.
    """
    if isinstance(schedule, FlowPath):
        raise ScheduleError(
            "ddpm goes through numbered noise levels, which a flow has none of; use euler-maruyama, or ddim with sampler.eta=1"
        )
    tables = respaced_tables(schedule, evaluations, grid)
    return DDPM(
        times=tuple(float(index + schedule.first_time) for index in reversed(tables.timesteps)),
        levels=tuple(Level.of_abar(float(abar)) for abar in reversed(tables.abar)),
        updates=tuple(_update(tables, i, variance) for i in reversed(range(evaluations))),
    )


def _update(tables: DiffusionTables, i: int, variance: Variance) -> Update:
    small, large = 0.5 * float(tables.posterior_log_variance[i]), 0.5 * math.log(tables.betas[i])
    mean = float(tables.posterior_mean_x0[i]), float(tables.posterior_mean_x[i])
    match variance:
        case "learned":
            return Update(*mean, (large + small) / 2, (large - small) / 2)
        case "fixedsmall":
            return Update(*mean, small, 0.0)
        case "fixedlarge":
            return Update(*mean, large, 0.0)
    raise ScheduleError(f"DDPM's variance is 'learned', 'fixedsmall' or 'fixedlarge', not '{variance}'")


def _std(update: Update, prediction: Prediction, dtype: torch.dtype) -> Tensor | float:
    if not update.slope:
        return math.exp(update.log_std)
    if prediction.variance is None:
        raise ScheduleError("this network predicts no variance; run ddpm with variance=fixedsmall or variance=fixedlarge")
    return torch.exp(update.log_std + update.slope * prediction.variance.to(dtype))
