"""Flows: alpha and sigma in closed form on a path from noise to data (Ma et al. 2024, SiT, arXiv 2401.08740).

SiT counts from t = 0, noise, to t = 1, data. Continuous time here is u = 1 - t, as for every schedule, and model time is 1000 u: what plans
store, guidance intervals name and solvers share. A network translates it into the time that it was trained with.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Kind
from ditkit.errors import ScheduleError
from ditkit.execution import NOISE_TIME

EDGE = 1e-3  # what is left out at an end where a level is singular, as published
BETA_MIN, BETA_MAX = 0.1, 20.0  # of the VP path


@dataclass(frozen=True)
class FlowPath:
    """A path of levels, and between which continuous times a run goes."""

    name: str
    level: Callable[[float], Level]
    time: Callable[[float], float]
    noisiest: float = 1.0
    cleanest: float = 0.0

    def level_at(self, t: float) -> Level:
        """The level at continuous time t; raises `ScheduleError` for a time outside [0, 1], where there is no path."""
        if not 0 <= t <= 1:
            raise ScheduleError(f"the {self.name} path goes from time 0 to time 1; it has no time {t:g}")
        return self.level(t)

    def time_at(self, lam: float) -> float:
        return self.time(lam)

    def network_time(self, t: float) -> float:
        return NOISE_TIME * t

    def below(self, start: float) -> "FlowPath":
        """The path from continuous time `start` on; raises `ScheduleError` unless that leaves something of it."""
        if not self.cleanest < start <= 1:
            raise ScheduleError(f"a run on the {self.name} path starts at a time above {self.cleanest:g} and at most 1, not {start:g}")
        return replace(self, noisiest=min(start, self.noisiest))

    def of(self, kind: Kind, edge: float | None = None) -> "FlowPath":
        """What a network of that kind can be asked of the path: not its ends, where a conversion divides by 0 (SiT's table of intervals).

        A velocity is told everywhere, but for the clean end of VP. `edge` takes the place of the published 0.001.
        """
        if edge is not None and not 0 <= edge < 0.5:
            raise ScheduleError(f"what is left out at an end of a path is at least 0 and less than 0.5, not {edge:g}")
        told = kind in ("velocity", "reversed velocity") and self.name != "vp"
        if edge == 0 and not told:
            raise ScheduleError(
                f"at the ends of the {self.name} path a network that predicts {kind} tells nothing; give an edge of more than 0"
            )
        left_out = edge if edge is not None else 0.0 if told else EDGE
        return replace(self, noisiest=min(self.noisiest, 1.0 if self.name == "vp" else 1 - left_out), cleanest=left_out)


def _linear(u: float) -> Level:
    return Level(1 - u, u, 1.0, -1.0)


def _gvp(u: float) -> Level:
    alpha, sigma = math.sin(math.pi / 2 * (1 - u)), math.sin(math.pi / 2 * u)
    return Level(alpha, sigma, math.pi / 2 * sigma, -math.pi / 2 * alpha)


def _vp(u: float) -> Level:
    log_alpha = -(BETA_MAX - BETA_MIN) / 4 * u**2 - BETA_MIN / 2 * u
    rate = (BETA_MAX - BETA_MIN) / 2 * u + BETA_MIN / 2  # of log alpha, towards the data
    alpha, sigma = math.exp(log_alpha), math.sqrt(-math.expm1(2 * log_alpha))
    return Level(alpha, sigma, alpha * rate, -(alpha**2) * rate / sigma if sigma else -math.inf)


def _vp_time(lam: float) -> float:
    """The root of the quadratic that log alpha is in u."""
    log_alpha = -0.5 * math.log1p(math.exp(-2 * lam)) if lam > 0 else lam - 0.5 * math.log1p(math.exp(2 * lam))
    a, b = (BETA_MAX - BETA_MIN) / 4, BETA_MIN / 2
    return -2 * log_alpha / (b + math.sqrt(b**2 - 4 * a * log_alpha))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def linear_flow() -> FlowPath:
    """x = (1 - u) x0 + u noise: rectified flow, SiT's default."""
    return FlowPath("linear", _linear, lambda lam: _logistic(-lam))


def gvp_flow() -> FlowPath:
    """A quarter of a circle: alpha^2 + sigma^2 = 1 at constant speed."""
    return FlowPath("gvp", _gvp, lambda lam: 2 / math.pi * math.atan(math.exp(-lam)))


def vp_flow() -> FlowPath:
    """The variance-preserving diffusion of Song et al. 2021, beta from 0.1 to 20; only almost noise at its noisy end."""
    return FlowPath("vp", _vp, _vp_time)
