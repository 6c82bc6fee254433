"""The command line that composes a configuration, so that a result says how to get the same again, or how to use it."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from ditkit.config.quoting import quoted

PLAIN = re.compile(r"(?!(?i:null|true|false|[-+]?([\d_.]+(e[-+]?\d+)?|inf|nan))$)[\w./:+-]+", re.ASCII)
"""Text that is read as itself, and not as a number or the like."""
SHELL = re.compile(r'[^"$`\\!]*')
"""Text that a shell reads as itself between double quotes."""


def command_line(command: str, config: Any, words: Sequence[str], without: Sequence[str] = (), only: Sequence[str] | None = None) -> str:
    """`ditkit COMMAND WORDS` and, as KEY=VALUE, all that is not as its dataclass has it; keys in `without` are said by the words.

    With `only`, those fields of the configuration alone.
    """
    default, mine = _defaults(config), _flat(asdict(config))
    said = [
        f"{key}={_value(value)}"
        for key, value in mine.items()
        if value != default.get(key) and key not in without and (only is None or key.partition(".")[0] in only)
    ]
    said = [word.replace(".name=", "=", 1) if word.partition("=")[0].endswith(".name") else word for word in said]
    return " ".join(["ditkit", command, *map(_for_a_shell, [*words, *said])])


def _defaults(config: Any) -> dict[str, Any]:
    """What the configuration holds if nothing is said but the options of its groups: the name of one is said, its defaults are not."""
    default = _flat(asdict(type(config)()))
    for field in fields(config):
        group = getattr(config, field.name)
        if is_dataclass(group) and not isinstance(group, type):
            default |= {f"{field.name}.{key}": value for key, value in _flat(asdict(type(group)())).items() if key != "name"}
    return default


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _value(value: Any) -> str:
    """As an override says it."""
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return str(value) if not isinstance(value, str) or PLAIN.fullmatch(value) else quoted(value)


def _for_a_shell(word: str) -> str:
    """Quoted where a shell would not read it as one word: between double quotes if that is enough, for the values have single ones."""
    return word if shlex.quote(word) == word else f'"{word}"' if SHELL.fullmatch(word) else shlex.quote(word)
