"""The command line that composes a configuration, so that a result says how to get the same again."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ditkit.config.quoting import quoted

PLAIN = re.compile(r"[\w./:-]+")


def command_line(command: str, config: Any, words: Sequence[str], without: Sequence[str] = ()) -> str:
    """`ditkit COMMAND WORDS` and, as KEY=VALUE, all that is not as its dataclass has it; keys in `without` are said by the words."""
    default, mine = _flat(asdict(type(config)())), _flat(asdict(config))
    said = [f"{key}={_value(value)}" for key, value in mine.items() if value != default.get(key) and key not in without]
    said = [word.replace(".name=", "=", 1) if word.partition("=")[0].endswith(".name") else word for word in said]
    return " ".join(["ditkit", command, *(_value(word) for word in words), *said])


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _value(value: Any) -> str:
    if isinstance(value, list):
        return shlex.quote(f"[{','.join(item if PLAIN.fullmatch(item) else quoted(item) for item in map(str, value))}]")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if not isinstance(value, str) or PLAIN.fullmatch(value) else quoted(value)
