"""DDIM (Song et al. 2021): first order, deterministic unless eta > 0."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ditkit.diffusion.schedule import Level, NoiseSchedule
from ditkit.diffusion.solvers.solver import Denoise, State, respaced_tables
from ditkit.errors import ScheduleError


class Update(NamedTuple):
    x0: float
    epsilon: float
    noise: float


@dataclass(frozen=True)
class DDIM:
    times: tuple[float, ...]
    levels: tuple[Level, ...]
    updates: tuple[Update, ...]
    name: str = "ddim"

    @property
    def steps(self) -> int:
        return len(self.updates)

    @property
    def draws(self) -> int:
        return sum(update.noise > 0 for update in self.updates)

    def init(self, noise: Tensor | None = None) -> State:
        assert self.draws == (0 if noise is None else len(noise)), "as many noise tensors as draws"
        return noise

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        level, update = self.levels[k], self.updates[k]
        prediction = denoise(x, k)
        mean = update.x0 * prediction.to_x0(x, *level) + update.epsilon * prediction.to_epsilon(x, *level)
        if not update.noise:
            return mean, state
        assert state is not None
        return mean + update.noise * state[k], state


def ddim(schedule: NoiseSchedule, evaluations: int, *, grid: str = "even", eta: float = 0.0) -> DDIM:
    """DDIM on the levels of `grid`: "even" (respacing "N"), "ddim" (constant stride, "ddimN") or an explicit "10,15,20".

    `eta` scales the noise of a step: 0 is deterministic, 1 as random as DDPM with the smallest variance. The last step ends at x0.
    """
    if not 0 <= eta <= 1:
        raise ScheduleError(f"eta is between 0 and 1, not {eta:g}")
    tables = respaced_tables(schedule, evaluations, grid)
    visits = [(float(abar), float(prev)) for abar, prev in zip(tables.abar, tables.abar_prev, strict=True)][::-1]
    return DDIM(
        times=tuple(float(index + schedule.first_time) for index in reversed(tables.timesteps)),
        levels=tuple(Level.of_abar(abar) for abar, _ in visits),
        updates=tuple(_update(abar, prev, eta) for abar, prev in visits),
    )


def _update(abar: float, prev: float, eta: float) -> Update:
    noise = eta * math.sqrt((1 - prev) / (1 - abar) * (1 - abar / prev))  # sigma of eq. 16
    return Update(math.sqrt(prev), math.sqrt(max(0.0, 1 - prev - noise**2)), noise)  # eq. 12
