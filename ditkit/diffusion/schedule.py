"""Schedules by name, and noise schedules: how much noise each of the training levels holds, and which of them a sampler visits.

All tables are float64 numpy on the host. A level is named in one of three ways:
* its index 0 .. steps - 1, cleanest first;
* its continuous time t = (index + 1) / steps in (0, 1], in between which log(alpha) is linear (the DPM-Solver papers' clock);
* its network time, what the network is told: index + `first_time`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ditkit.diffusion.flow import FlowPath, gvp_flow, linear_flow, vp_flow
from ditkit.diffusion.level import Level
from ditkit.errors import ScheduleError, UnknownName


@dataclass(frozen=True, eq=False)
class DiffusionTables:
    """Everything the ancestral samplers need about the visited levels, cleanest first (Ho et al. 2020, Nichol & Dhariwal 2021).

    The posterior q(x_prev | x, x0) has mean `posterior_mean_x0` * x0 + `posterior_mean_x` * x. `posterior_log_variance` repeats
    its second entry in the first place, where the variance is 0.
    """

    timesteps: tuple[int, ...]
    betas: np.ndarray
    abar: np.ndarray
    abar_prev: np.ndarray
    posterior_mean_x0: np.ndarray
    posterior_mean_x: np.ndarray
    posterior_variance: np.ndarray
    posterior_log_variance: np.ndarray


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The variances added between neighbouring training levels; `first_time` is what the network is told at index 0."""

    betas: np.ndarray
    first_time: int = 0

    def __post_init__(self) -> None:
        betas = np.array(self.betas, dtype=np.float64)
        if betas.ndim != 1 or not betas.size or not ((betas > 0) & (betas < 1)).all():
            raise ScheduleError("a noise schedule is a list of betas, each above 0 and below 1")
        betas.flags.writeable = False
        object.__setattr__(self, "betas", betas)

    @property
    def steps(self) -> int:
        return len(self.betas)

    @cached_property
    def abar(self) -> np.ndarray:
        """The cumulative product of 1 - beta: the share of signal variance left at each index."""
        return np.cumprod(1 - self.betas)

    @cached_property
    def log_alpha(self) -> np.ndarray:
        return 0.5 * np.cumsum(np.log1p(-self.betas))

    def level(self, index: int) -> Level:
        return Level.of_abar(float(self.abar[index]))

    @property
    def noisiest(self) -> float:
        return 1.0

    @property
    def cleanest(self) -> float:
        """The continuous time of index 0, where a run in continuous time ends."""
        return 1 / self.steps

    def level_at(self, t: float) -> Level:
        """The level at continuous time t, 1 / steps <= t <= 1; log(alpha) is linear between the indices."""
        log_alpha = float(np.interp(t, self._times, self.log_alpha))
        alpha, sigma = math.exp(log_alpha), math.sqrt(-math.expm1(2 * log_alpha))
        rate = -self.steps * 0.5 * math.log1p(-self.betas[min(math.ceil(round(t * self.steps, 6)), self.steps) - 1])
        return Level(alpha, sigma, alpha * rate, -(alpha**2) * rate / sigma)

    def time_at(self, lam: float) -> float:
        """The continuous time of a half log signal-to-noise ratio: the inverse of `level_at(t).lam`."""
        log_alpha = -0.5 * float(np.logaddexp(0.0, -2 * lam))
        return float(np.interp(log_alpha, self.log_alpha[::-1], self._times[::-1]))

    def network_time(self, t: float) -> float:
        """What the network is told at continuous time t; not rounded."""
        return self.steps * t - 1 + self.first_time

    def below(self, start: float) -> "NoiseSchedule":
        """The levels up to continuous time `start` in (0, 1], for a run that begins there: at so much noise that it could be noise alone.

        Where the levels above hold no more of a sample than its own chance, they only add the network's errors, which 1 / alpha enlarges
        (Zheng et al. 2022, truncated diffusion). Raises `ScheduleError` for a time that leaves no level.
        """
        kept = round(start * self.steps)
        if not 1 <= kept <= self.steps:
            raise ScheduleError(f"a run starts at a time above 0 and at most 1, the noisiest of {self.steps} levels, not {start:g}")
        return NoiseSchedule(self.betas[:kept], self.first_time)

    def respaced(self, spec: str) -> DiffusionTables:
        """The tables of the levels that `respace` picks: betas that take one visited level to the next, and what follows from them."""
        timesteps = respace(spec, self.steps)
        kept = self.abar[list(timesteps)]
        betas = 1 - kept / np.concatenate([[1.0], kept[:-1]])
        abar = np.cumprod(1 - betas)
        abar_prev = np.concatenate([[1.0], abar[:-1]])
        variance = betas * (1 - abar_prev) / (1 - abar)
        return DiffusionTables(
            timesteps=timesteps,
            betas=betas,
            abar=abar,
            abar_prev=abar_prev,
            posterior_mean_x0=betas * np.sqrt(abar_prev) / (1 - abar),
            posterior_mean_x=(1 - abar_prev) * np.sqrt(1 - betas) / (1 - abar),
            posterior_variance=variance,
            posterior_log_variance=np.log(np.concatenate([variance[1:2], variance[1:]]) if len(betas) > 1 else betas),
        )

    @cached_property
    def _times(self) -> np.ndarray:
        return np.arange(1, self.steps + 1) / self.steps


def linear(steps: int = 1000, start: float = 1e-4, end: float = 0.02, first_time: int = 0) -> NoiseSchedule:
    """Evenly spaced betas: DiT, PixArt, DiT-3D."""
    return NoiseSchedule(np.linspace(start, end, steps), first_time)


def scaled_linear(steps: int = 1000, start: float = 0.00085, end: float = 0.012, first_time: int = 1) -> NoiseSchedule:
    """Betas whose square roots are evenly spaced: latent diffusion's, as U-ViT uses it, whose network counts levels from 1."""
    return NoiseSchedule(np.linspace(math.sqrt(start), math.sqrt(end), steps) ** 2, first_time)


def warm(steps: int = 1000, start: float = 1e-5, end: float = 0.008, fraction: float = 0.1, first_time: int = 0) -> NoiseSchedule:
    """Betas that rise evenly over the first `fraction` of the levels and stay at `end`: DiT-3D's 'warm0.1' for airplanes."""
    betas = np.full(steps, end)
    rise = int(steps * fraction)
    betas[:rise] = np.linspace(start, end, rise)
    return NoiseSchedule(betas, first_time)


SCHEDULES: dict[str, Callable[..., NoiseSchedule | FlowPath]] = {
    "linear": linear,
    "scaled-linear": scaled_linear,
    "warm": warm,
    "linear-flow": linear_flow,
    "gvp-flow": gvp_flow,
    "vp-flow": vp_flow,
}


def named(name: str, **numbers: float) -> NoiseSchedule | FlowPath:
    """The schedule that plain data describes: `named("warm", fraction=0.1)`."""
    if name not in SCHEDULES:
        raise UnknownName("schedule", name, SCHEDULES)
    return SCHEDULES[name](**numbers)


def respace(spec: str, total: int) -> tuple[int, ...]:
    """The indices, ascending, that a sampler visits out of `total` training levels (the notation of Nichol & Dhariwal 2021).

    "20" spreads 20 evenly from the first to the last; "ddim20" takes a constant whole stride from 0; "10,15,20" cuts the levels
    into three equal parts, the first ones longer by one if need be, and spreads so many in each. "" keeps them all. "leading20" takes the
    largest whole stride from 0, whatever it leaves out above, and "trailing20" a stride that ends at the last (diffusers' spacings).
    """
    if not spec:
        return tuple(range(total))
    if spec.startswith("ddim"):
        return _constant_stride(_count(spec.removeprefix("ddim"), spec), total)
    if spec.startswith("leading"):
        return _leading(_count(spec.removeprefix("leading"), spec), total)
    if spec.startswith("trailing"):
        return _trailing(_count(spec.removeprefix("trailing"), spec), total)
    counts = [_count(word, spec) for word in spec.split(",")]
    size, longer = divmod(total, len(counts))
    picked: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        length = size + (section < longer)
        if count > length:
            raise ScheduleError(f"time grid '{spec}' asks for {count} levels where the noise schedule has {length}")
        picked += _evenly(start, length, count)
        start += length
    return tuple(picked)


def _evenly(start: int, length: int, count: int) -> list[int]:
    stride = (length - 1) / (count - 1) if count > 1 else 1.0
    position, picked = 0.0, []
    for _ in range(count):
        picked.append(start + round(position))  # halves go to the even side, and the sum rounds as the published samplers' does
        position += stride
    return picked


def _constant_stride(count: int, total: int) -> tuple[int, ...]:
    reachable = {len(range(0, total, stride)): stride for stride in range(total - 1, 0, -1)}  # the smallest stride stays
    if count in reachable:
        return tuple(range(0, total, reachable[count]))
    below = max((n for n in reachable if n < count), default=None)
    above = min((n for n in reachable if n > count), default=None)
    near = " or ".join(f"'ddim{n}'" for n in (below, above) if n is not None)
    raise ScheduleError(f"no whole stride makes 'ddim{count}' of {total} noise levels; the nearest that exist: {near}")


def _leading(count: int, total: int) -> tuple[int, ...]:
    if count > total:
        raise ScheduleError(f"'leading{count}' asks for {count} levels where the noise schedule has {total}")
    stride = total // count
    return tuple(range(0, count * stride, stride))


def _trailing(count: int, total: int) -> tuple[int, ...]:
    if total % count:
        near = " or ".join(f"{n}" for n in (_divisor(total, count, -1), _divisor(total, count, 1)) if n)
        raise ScheduleError(f"no whole stride makes 'trailing{count}' of {total} noise levels; take {near} evaluations")
    return tuple(range(total // count - 1, total, total // count))


def _divisor(total: int, count: int, direction: int) -> int | None:
    """The nearest number below (-1) or above (1) that divides `total`."""
    return next((n for n in range(count, 0 if direction < 0 else total + 1, direction) if total % n == 0), None)


def _count(word: str, spec: str) -> int:
    if not re.fullmatch(r" *[0-9]{1,18} *", word) or int(word) < 1:
        raise ScheduleError(f"cannot read time grid '{spec}'; write a count ('20'), 'ddim20' or counts per section ('10,15,20')")
    return int(word)
