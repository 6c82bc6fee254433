"""Latent consistency sampling (Luo et al. 2023, arXiv 2310.04378): every step jumps to a clean sample and adds fresh noise for the next."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.grids import check_evaluations
from ditkit.diffusion.solvers.solver import Denoise, State
from ditkit.errors import ScheduleError

ORIGINAL = 50  # levels that the network was distilled on
SCALING, SIGMA_DATA = 10.0, 0.5  # of the boundary condition, as published


@dataclass(frozen=True)
class LCM:
    """`boundary` are c_skip and c_out of each evaluation: the consistency function is c_skip x + c_out x0."""

    times: tuple[float, ...]
    levels: tuple[Level, ...]
    boundary: tuple[tuple[float, float], ...]
    name: str = "lcm"

    @property
    def steps(self) -> int:
        return len(self.times)

    @property
    def draws(self) -> int:
        return self.steps - 1

    def init(self, noise: Tensor | None = None) -> State:
        assert self.draws == (0 if noise is None else len(noise)), "as many noise tensors as draws"
        return noise

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        skip, out = self.boundary[k]
        clean = skip * x + out * denoise(x, k).to_x0(x, self.levels[k])
        if k == self.draws:
            return clean, state
        assert state is not None
        alpha, sigma = self.levels[k + 1][:2]
        return alpha * clean + sigma * state[k], state


def lcm(schedule: NoiseSchedule | FlowPath, evaluations: int, *, original: int = ORIGINAL) -> LCM:
    """On so many of the `original` levels of the distillation, which are evenly spread, from the noisiest."""
    check_evaluations(evaluations)
    if isinstance(schedule, FlowPath):
        raise ScheduleError("lcm is for networks that were distilled on numbered noise levels, which a flow has none of")
    if not evaluations <= original <= schedule.steps:
        raise ScheduleError(f"lcm makes at most {original} evaluations, the levels of its distillation, not {evaluations}")
    visited = np.arange(1, original + 1)[::-1] * (schedule.steps // original) - 1
    indices = visited[np.floor(np.linspace(0, original, evaluations, endpoint=False)).astype(int)].tolist()
    assert all(here > there for here, there in pairwise(indices))
    scaled = [SCALING * index for index in indices]
    return LCM(
        times=tuple(float(index + schedule.first_time) for index in indices),
        levels=tuple(schedule.level(index) for index in indices),
        boundary=tuple((SIGMA_DATA**2 / (t**2 + SIGMA_DATA**2), t / math.hypot(t, SIGMA_DATA)) for t in scaled),
    )
