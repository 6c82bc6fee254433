"""DDIM (Song et al. 2021): first order, deterministic unless eta > 0. Alpha and sigma alone define it, so it runs on flows too."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from ditkit.diffusion.level import CLEAN, Level
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.grids import GRIDS, continuous
from ditkit.diffusion.solvers.solver import Denoise, State, respaced_tables, with_eta


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
        mean = update.x0 * prediction.to_x0(x, level) + update.epsilon * prediction.to_epsilon(x, level)
        if not update.noise:
            return mean, state
        assert state is not None
        return mean + update.noise * state[k], state


def ddim(schedule: NoiseSchedule | FlowPath, evaluations: int, *, grid: str = "even", shift: float = 1.0, eta: float = 0.0) -> DDIM:
    """DDIM on a grid of continuous times (`continuous_times`), or of a noise schedule's whole levels.

    Those are "even" (respacing "N"), "ddim" (constant stride, "ddimN") or an explicit "10,15,20". `eta` scales the noise of a step: 0 is
    deterministic, 1 as random as DDPM with the smallest variance. The last step ends at x0.
    """
    if isinstance(schedule, FlowPath) or grid in GRIDS[1:]:
        visited, levels, _ = continuous(schedule, evaluations, grid, shift)
        times = [schedule.network_time(t) for t in visited]
    else:
        tables = respaced_tables(schedule, evaluations, grid, shift)
        times = [float(index + schedule.first_time) for index in reversed(tables.timesteps)]
        levels = [Level.of_abar(float(abar)) for abar in reversed(tables.abar)]
    updates = tuple(_update(here, there, eta) for here, there in pairwise([*levels, CLEAN]))
    return DDIM(times=tuple(times), levels=tuple(levels), updates=updates, name=with_eta("ddim", eta))


def _update(here: Level, there: Level, eta: float) -> Update:
    """Eq. 12, with eq. 16's noise for any alpha and sigma: the deviation of the posterior q(x_there | x_here, x0)."""
    if not eta:
        return Update(there.alpha, there.sigma, 0.0)
    kept = (here.alpha * there.sigma / (there.alpha * here.sigma)) ** 2
    noise = eta * there.sigma * math.sqrt(max(0.0, 1 - kept))
    return Update(there.alpha, math.sqrt(max(0.0, there.sigma**2 - noise**2)), noise)
