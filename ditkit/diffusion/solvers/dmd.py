"""Generators that were distilled by matching distributions (Yin et al. 2023, arXiv 2311.18828): from noise to a clean sample in one step.

Of several, each jumps to a clean sample and adds fresh noise for the next (Yin et al. 2024, arXiv 2405.14867).
"""

import numpy as np

from ditkit.diffusion.schedule import FlowPath, NoiseSchedule
from ditkit.diffusion.solvers.grids import check_evaluations
from ditkit.diffusion.solvers.lcm import LCM
from ditkit.errors import ScheduleError

LEVEL = 400  # PixArt-DMD's (Chen et al. 2024, arXiv 2403.04692, supplement), which takes noise alone for a sample at this index


def dmd(schedule: NoiseSchedule | FlowPath, evaluations: int, *, level: int = LEVEL) -> LCM:
    """On so many levels evenly from index `level`, that of the distillation, or from the noisiest that the schedule has."""
    check_evaluations(evaluations)
    if isinstance(schedule, FlowPath):
        raise ScheduleError("dmd is for networks that were distilled at numbered noise levels, which a flow has none of")
    first = min(level, schedule.steps - 1)
    if evaluations > first + 1:
        raise ScheduleError(f"dmd makes at most {first + 1} evaluations, the levels from index {first}, not {evaluations}")
    indices = np.linspace(first, -1, evaluations, endpoint=False).round().astype(int).tolist()
    return LCM(  # whose steps these are, with nothing of the noisy sample in the clean one
        times=tuple(float(index + schedule.first_time) for index in indices),
        levels=tuple(schedule.level(index) for index in indices),
        boundary=((0.0, 1.0),) * evaluations,
        name="dmd",
    )
