"""Generators that were distilled by matching distributions (Yin et al. 2023, arXiv 2311.18828): from noise to a clean sample in one step.

Of several, each jumps to a clean sample and adds fresh noise for the next (Yin et al. 2024, arXiv 2405.14867).
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.grids import check_evaluations
from ditkit.diffusion.solvers.solver import Denoise, State
from ditkit.errors import ScheduleError

LEVEL = 400  # PixArt-DMD's (Chen et al. 2024, arXiv 2403.04692, supplement), which takes noise alone for a sample at this index


@dataclass(frozen=True)
class DMD:
    times: tuple[float, ...]
    levels: tuple[Level, ...]
    name: str = "dmd"

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
        clean = denoise(x, k).to_x0(x, self.levels[k])
        if k == self.draws:
            return clean, state
        assert state is not None
        alpha, sigma = self.levels[k + 1][:2]
        return alpha * clean + sigma * state[k], state


def dmd(schedule: NoiseSchedule | FlowPath, evaluations: int, *, level: int = LEVEL) -> DMD:
    """On so many levels evenly from index `level`, that of the distillation, or from the noisiest that the schedule has."""
    check_evaluations(evaluations)
    if isinstance(schedule, FlowPath):
        raise ScheduleError("dmd is for networks that were distilled at numbered noise levels, which a flow has none of")
    first = min(level, schedule.steps - 1)
    if evaluations > first + 1:
        raise ScheduleError(f"dmd makes at most {first + 1} evaluations, the levels from index {first}, not {evaluations}")
    indices = np.linspace(first, -1, evaluations, endpoint=False).round().astype(int).tolist()
    return DMD(
        times=tuple(float(index + schedule.first_time) for index in indices),
        levels=tuple(schedule.level(index) for index in indices),
    )
