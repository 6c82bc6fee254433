"""Dormand-Prince 5(4) with steps as long as the tolerances allow, by scipy: for reference runs, of which no plan can know the times."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.diffusion.level import Level, Schedule
from ditkit.diffusion.solvers.grids import check_evaluations
from ditkit.diffusion.solvers.solver import Denoise, State
from ditkit.errors import ScheduleError

Velocity = Callable[[Tensor, float], Tensor]
"""dx/dt in flow time of x (...) at a continuous time."""


@dataclass(frozen=True)
class Dopri5:
    """No solver of steps: its times are known only afterwards. In place of `step` it has `integrate`, of at most `most` evaluations."""

    schedule: Schedule
    most: int
    rtol: float
    atol: float
    name: str = "dopri5"
    times: tuple[float, ...] = ()
    levels: tuple[Level, ...] = ()
    steps: int = 0
    draws: int = 0

    def init(self, noise: Tensor | None = None) -> State:
        return None

    def step(self, denoise: Denoise, x: Tensor, k: int, state: State) -> tuple[Tensor, State]:
        raise AssertionError("dopri5 takes steps of its own: use integrate")

    def integrate(self, velocity: Velocity, x: Tensor) -> Tensor:
        """From the schedule's noisiest time to its cleanest, in float64 between evaluations.

        The error of a step is measured over all of x together. Raises `ScheduleError` when `most` evaluations were not enough.
        """
        from scipy.integrate import solve_ivp

        made = 0

        def slope(t: float, flat: object) -> object:
            nonlocal made
            made += 1
            if made > self.most:
                raise ScheduleError(
                    f"dopri5 has made its {self.most} evaluations and is at {t:.0%} of the way; give more --steps, or a larger sampler.rtol"
                )
            at = torch.as_tensor(flat).reshape(x.shape).to(x)
            return velocity(at, min(max(1 - t, 0.0), 1.0)).double().cpu().reshape(-1).numpy()

        span = 1 - self.schedule.noisiest, 1 - self.schedule.cleanest
        solved = solve_ivp(slope, span, x.double().cpu().reshape(-1).numpy(), method="RK45", rtol=self.rtol, atol=self.atol)
        if not solved.success:
            raise ScheduleError(f"dopri5 came to no end: {solved.message}")
        return torch.from_numpy(solved.y[:, -1]).reshape(x.shape).to(x)


def dopri5(schedule: Schedule, evaluations: int, *, rtol: float = 1e-3, atol: float = 1e-6) -> Dopri5:
    check_evaluations(evaluations)
    return Dopri5(schedule, evaluations, rtol, atol)
