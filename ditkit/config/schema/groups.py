"""The config groups by name, and the group `cache`: a base class with one subclass per option, whose `name` cannot be set."""

from dataclasses import dataclass
from typing import Any

from ditkit.config.checks import check_budget, check_finite, check_known, check_least, check_name
from ditkit.config.schema.samplers import SAMPLERS, SamplerConfig
from ditkit.errors import ConfigError

FORECASTS = ("evaluations", "branches")


@dataclass
class CacheConfig:
    """The group `cache`: which branches are reused instead of computed."""

    name: str = ""

    def __post_init__(self) -> None:
        check_name("cache", self.name, type(self).name)


@dataclass
class NoCache(CacheConfig):
    """Compute everything."""

    name: str = "none"


@dataclass
class AutoCache(CacheConfig):
    """The best plan known for this model and solver: near-lossless, or with a `budget` one that keeps about that share of the run."""

    name: str = "auto"
    budget: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.budget is not None:
            check_budget("cache.budget", self.budget)


@dataclass
class EveryCache(CacheConfig):
    """Compute at every `period`-th evaluation; with a `budget`, reuse at as many evaluations as it takes, evenly spread."""

    name: str = "every"
    period: int = 2
    budget: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("cache.period", self.period, 1)
        if self.budget is not None:
            check_budget("cache.budget", self.budget)


@dataclass
class BudgetCache(CacheConfig):
    """A share of the run's multiply-adds to keep, by a rule that learns nothing: what a learned plan is to be compared with."""

    budget: float = 0.7
    period: int = 2  # one evaluation in this many computes everything

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget("cache.budget", self.budget)
        check_least("cache.period", self.period, 2)


@dataclass
class RandomCache(BudgetCache):
    """Branches drawn at random."""

    name: str = "random"
    seed: int = 0


@dataclass
class TopCache(BudgetCache):
    """The last blocks are reused."""

    name: str = "top"


@dataclass
class BottomCache(BudgetCache):
    """The first blocks are reused."""

    name: str = "bottom"


@dataclass
class SimilarityCache(CacheConfig):
    """What hardly changes on a few of the model's own trajectories is reused: by a budget, or by a `threshold` if one is given."""

    name: str = "similarity"
    budget: float = 0.7
    threshold: float | None = None
    longest: int = 3  # over how many evaluations an output may be reused
    samples: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget("cache.budget", self.budget)
        check_finite("cache.threshold", self.threshold)
        check_least("cache.threshold", self.threshold, 0)
        check_least("cache.longest", self.longest, 1)
        check_least("cache.samples", self.samples, 1)


@dataclass
class ForecastCache(CacheConfig):
    """What is not computed is forecast from the last outputs, with weights fitted on a few of the model's own runs: whole "evaluations",
    or all "branches" of an evaluation."""

    name: str = "forecast"
    budget: float = 0.7
    order: int = 2  # how many outputs a forecast is made from, 1 to 3
    of: str = "evaluations"
    samples: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget("cache.budget", self.budget)
        check_known("kind of forecast", self.of, FORECASTS)
        check_least("cache.samples", self.samples, 2)
        if not 1 <= self.order <= 3:
            raise ConfigError(f"cache.order must be 1, 2 or 3, not {self.order}")


@dataclass
class FileCache(CacheConfig):
    """A plan read from a file."""

    name: str = "file"
    path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ConfigError("cache=file needs a plan: --plan FILE or cache.path=FILE")


GROUPS: dict[str, tuple[type[SamplerConfig] | type[CacheConfig], ...]] = {
    "sampler": SAMPLERS,
    "cache": (NoCache, AutoCache, EveryCache, RandomCache, TopCache, BottomCache, SimilarityCache, ForecastCache, FileCache),
}


def option(group: str, name: str, **values: Any) -> Any:
    """The option `name` of a group with these values: `option("cache", "every", period=3)`; raises `UnknownName`."""
    known = {choice.name: choice for choice in GROUPS[group]}
    check_known("solver" if group == "sampler" else group, name, list(known))
    return known[name](**values)
