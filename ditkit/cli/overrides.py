"""Flags as override strings: pure, so that what a command line means can be read in a test.

Only flags that were given count; every default is in conf/ and `ditkit.config.schema`.
"""

from collections.abc import Iterable, Mapping, Sequence

from ditkit.config.folder import options
from ditkit.config.quoting import quoted
from ditkit.errors import ConfigError

Value = str | int | float | bool | Sequence[str] | None

KEYS = {
    "--model": "model",
    "--class": "classes",
    "--count": "count",
    "--seed": "seed",
    "--steps": "steps",
    "--solver": "sampler",
    "--guidance": "guidance",
    "--batch": "batch",
    "--out": "out",
    "--weights": "weights",
    "--from": "source",
    "--data": "data.path",
}
GROUP_FLAGS = ("--solver",)  # they name an option of a group, which is never quoted
KEPT_FROM = ("source", "out")  # all that can be said beside --from


def from_flags(flags: Mapping[str, Value], overrides: Sequence[str]) -> list[str]:
    """The given flags, then the overrides. Raises `ConfigError` when two of them say the same thing, naming both."""
    said: dict[str, str] = {}
    result: list[str] = []
    for setting, shown in [*_settings(flags), *((override, override) for override in overrides)]:
        key = setting.lstrip("+").partition("=")[0]
        if key in said:
            raise ConfigError(f"{key} is said twice: {said[key]} and {shown}")
        said[key] = shown
        result.append(setting)
    if "source" in said and (more := [shown for key, shown in said.items() if key not in KEPT_FROM]):
        raise ConfigError(f"{said['source']} repeats a run as it was; leave out {', '.join(more)} (only --out can differ)")
    return result


def of_recipe(model: str) -> list[str]:
    """What `ditkit train MODEL` means: the preset of that name, or else that model with nothing preset."""
    return [f"preset={model}"] if model in options("preset") else ["preset=none", f"model={quoted(model)}"]


def _settings(flags: Mapping[str, Value]) -> Iterable[tuple[str, str]]:
    """Every given flag as an override and as it was typed."""
    for flag, value in flags.items():
        if value is None or value is False or value == []:
            continue
        shown = flag if value is True else f"{flag} {value if not isinstance(value, list) else f' {flag} '.join(value)}"
        match flag:
            case "--cache":
                yield "cache=auto", shown
            case "--plan":
                yield "cache=file", shown
                yield f"cache.path={quoted(str(value))}", shown
            case _:
                yield f"{KEYS[flag]}={value if flag in GROUP_FLAGS else _text(value)}", shown


def _text(value: Value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return quoted(value)
        case None:
            return "null"
    return "[" + ",".join(map(quoted, value)) + "]"
