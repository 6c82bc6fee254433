"""How much signal and noise a noisy sample holds, and what a schedule of such levels offers to every solver."""

import math
from typing import NamedTuple, Protocol, Self


class Level(NamedTuple):
    """x = alpha * x0 + sigma * noise; of a noise schedule alpha^2 + sigma^2 = 1, of a flow whatever its path says.

    `d_alpha` and `d_sigma` are their rates in flow time, 1 minus continuous time: towards the data. NaN for a level of no path.
    """

    alpha: float
    sigma: float
    d_alpha: float = math.nan
    d_sigma: float = math.nan

    @property
    def lam(self) -> float:
        """Half the log signal-to-noise ratio, lambda in the DPM-Solver papers; infinite for a clean sample, minus that for noise alone."""
        if not self.sigma:
            return math.inf
        return math.log(self.alpha / self.sigma) if self.alpha else -math.inf

    @classmethod
    def of_abar(cls, abar: float) -> "Level":
        return cls(math.sqrt(abar), math.sqrt(1 - abar))


CLEAN = Level(1.0, 0.0)


class Schedule(Protocol):
    """Levels over one continuous time, from 1, noise, to 0, data: a noise schedule interpolated between its indices, or a flow's path.

    A run goes from `noisiest` to `cleanest`. Model time, which plans store and networks are told, is `network_time`: about 1000 times
    continuous time.
    """

    @property
    def noisiest(self) -> float: ...
    @property
    def cleanest(self) -> float: ...

    def level_at(self, t: float) -> Level: ...

    def time_at(self, lam: float) -> float:
        """The inverse of `level_at(t).lam`."""
        ...

    def network_time(self, t: float) -> float: ...

    def below(self, start: float) -> Self:
        """The levels up to continuous time `start` in (0, 1], for a run that begins there."""
        ...
