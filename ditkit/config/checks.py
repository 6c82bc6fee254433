"""The checks that a configuration makes of its own values. Each raises a `ConfigError` that quotes the value and the limit."""

import math
from collections.abc import Sequence

from ditkit.config.numbers import LARGEST_SEED
from ditkit.errors import ConfigError, UnknownName


def check_known(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UnknownName(kind, name, known)


def check_name(group: str, name: str, own: str) -> None:
    """Which option of a group it is cannot be changed within it."""
    if name != own:
        raise ConfigError(f"{group}.name cannot be set; choose with {group}={name}")


def check_least(name: str, value: float | None, least: int) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{name} must be at least {least}, not {value}")


def check_positive(name: str, value: float) -> None:
    if value <= 0:
        raise ConfigError(f"{name} must be more than 0, not {value:g}")


def check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ConfigError(f"{name} must be at least 0 and less than 1, not {value:g}")


def check_part(name: str, value: float) -> None:
    """A share that may be nothing or everything."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be between 0 and 1, not {value:g}")


def check_finite(name: str, value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value}")


def check_seed(seed: int) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(f"seed must be from 0 to {LARGEST_SEED}, not {seed}")


def check_seeds(seed: int, count: int | None) -> None:
    """Every sample has a seed of its own, counted up from the first."""
    check_seed(seed)
    if count is not None and seed + count - 1 > LARGEST_SEED:
        raise ConfigError(f"seeds end at {LARGEST_SEED}, and {count} from {seed} on go beyond; use a smaller seed")


def check_interval(interval: list[float] | None) -> None:
    if interval is not None and (len(interval) != 2 or not interval[0] <= interval[1]):
        raise ConfigError(f"guidance_interval takes two model times, the lower first, as in guidance_interval=[100,900], not {interval}")


def check_folder(out: str | None) -> None:
    if out is not None and not out.strip():
        raise ConfigError("out must name a folder, as in --out runs/mine")


def check_colour(name: str, value: str) -> None:
    """A colour without transparency, as Pillow and CSS name them."""
    from PIL import ImageColor

    try:
        known = len(ImageColor.getrgb(value)) == 3
    except ValueError:
        known = False
    if not known:
        raise ConfigError(f"{name} must be a colour, as in {name}=white or \"{name}='#8090a0'\", not '{value}'")


def check_budget(name: str, value: float) -> None:
    """A share that may be everything but not nothing; NaN is neither."""
    if not 0 < value <= 1:
        raise ConfigError(f"{name} must be more than 0 and at most 1, not {value:g}")
