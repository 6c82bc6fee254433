"""Flags as override strings: pure, so that what a command line means can be read in a test.

Only flags that were given count; every default is in conf/ and `ditkit.config.schema`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from ditkit.config.folder import options
from ditkit.config.quoting import quoted
from ditkit.errors import ConfigError

Value = str | bool | list[str] | None

KEYS = {
    "MODEL": "model",
    "PIPELINE": "pipeline",
    "--model": "model",
    "--class": "classes",
    "--prompt": "prompts",
    "--prompts": "prompt_file",
    "--negative": "negative",
    "--count": "count",
    "--seed": "seed",
    "--steps": "steps",
    "--guidance": "guidance",
    "--batch": "batch",
    "--out": "out",
    "--weights": "weights",
    "--lora": "lora",
    "--category": "classes",
    "--points": "points",
    "--boxes": "boxes",
    "--box": "box",
    "--beside": "beside",
    "--rules": "rules",  # of `ditkit bench`, where several can be given
    "--from": "source",
    "--data": "data.path",
    "--classes": "classes",  # of `ditkit train`: how many
    "--evaluations": "evaluations",
    "--budget": "budget",
    "--max-error": "max_error",
    "--speed-up": "speed_up",
    "--policy": "policies",
    "--fewer": "fewer",
    "--against": "against",
    "--plan": "plans",  # where several can be given
    "--reference": "reference",
    "RUN": "targets",
    "--distance": "distances",
    "--save-npz": "save_npz",
}
KEPT_FROM = ("source", "out")  # all that can be said beside --from


def from_flags(flags: Mapping[str, Value], overrides: Sequence[str]) -> list[str]:
    """The given flags, then the overrides. Raises `ConfigError` when two of them say the same thing, naming both."""
    if "--cache" in flags and flags.get("--budget") and not flags["--cache"] and not any(each.startswith("cache=") for each in overrides):
        raise ConfigError(f"--budget {flags['--budget']} says how much of a run --cache keeps; add --cache")
    said: dict[str, str] = {}
    result: list[str] = []
    for setting, shown in [*_settings(flags), *((override, override) for override in overrides)]:
        key = setting.lstrip("+").partition("=")[0]
        if key in said:
            raise ConfigError(f"{key} is said twice: {said[key]} and {shown}")
        said[key] = shown
        result.append(setting)
    for instead in ("max_error", "speed_up"):  # of `ditkit train-router`
        if instead in said and said.get("budget", "").lower() not in ("", "budget=null"):
            raise ConfigError(f"{said[instead]} stands in place of a budget; leave out {said['budget']}")
    if "source" in said and (more := [shown for key, shown in said.items() if key not in KEPT_FROM]):
        raise ConfigError(f"{said['source']} repeats a run as it was; leave out {', '.join(dict.fromkeys(more))} (only --out can differ)")
    return result


def _settings(flags: Mapping[str, Value]) -> Iterable[tuple[str, str]]:
    """Every given flag as overrides, each with what was typed."""
    for flag, value in flags.items():
        if value is not None and value is not False and value != []:
            typed = _typed(flag, value)
            of_cache = flag == "--budget" and "--cache" in flags  # of a command that samples
            yield from ((setting, typed) for setting in ([f"cache.budget={value}"] if of_cache else _meaning(flag, value)))


def _meaning(flag: str, value: Value) -> list[str]:
    match flag:
        case "RECIPE":  # of `ditkit train`: the preset of that name, or else that model with nothing preset
            return [f"preset={value}"] if value in options("preset") else ["preset=none", f"model={_text(value)}"]
        case "--cache":
            return ["cache=auto"]
        case "--fast":
            return ["rules.name=fast"]
        case "--prompt" if isinstance(value, str):  # of a command that takes one
            return [f"prompt={_text(value)}"]
        case "--mesh" | "--real" | "--parts" | "--gpu-report":
            return [f"{flag.removeprefix('--').replace('-', '_')}=true"]
        case "--plan" if isinstance(value, str):
            return ["cache=file", f"cache.path={_text(value)}"]
        case "--size":
            return _sides(str(value))
        case "--solver":  # an option of a group is never quoted
            return [f"sampler={value}"]
    return [f"{KEYS[flag]}={_text(value)}"]


def _sides(size: str) -> list[str]:
    sides = re.fullmatch(r"([0-9]+)x([0-9]+)", size)
    if not sides:
        raise ConfigError(f"cannot read --size {size}; write height and width in pixels, as in --size 512x768")
    return [f"height={sides[1]}", f"width={sides[2]}"]


def _typed(flag: str, value: Value) -> str:
    if value is True:
        return flag
    words = [str(word) for word in (value if isinstance(value, list) else [value])]
    return " ".join(words if flag.isupper() else (f"{flag} {word}" for word in words))  # an argument has no name to type


def _text(value: Value) -> str:
    return f"[{','.join(map(quoted, value))}]" if isinstance(value, list) else quoted(str(value))
