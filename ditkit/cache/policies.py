"""Policies make plans from the sites of a model and the time grid of a run."""

from collections.abc import Sequence

from ditkit.cache.plan import CachePlan
from ditkit.errors import ConfigError
from ditkit.execution import Sites


def everything(sites: Sites, times: Sequence[float]) -> CachePlan:
    """Compute all sites at every evaluation: the same result as no plan."""
    return every(1, sites, times)


def every(period: int, sites: Sites, times: Sequence[float]) -> CachePlan:
    """Compute all sites at every `period`-th evaluation and reuse them in between."""
    if period < 1:
        raise ConfigError(f"cache.period must be at least 1, not {period}")
    rows = tuple((index % period == 0,) * len(sites) for index in range(len(times)))
    return CachePlan(sites, tuple(times), rows, {"policy": "every", "period": period})
