"""The words of a command line, before any command reads them."""

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from typer.core import TyperCommand

from ditkit.errors import ConfigError


class Command(TyperCommand):
    """A command that drops no word: of an option said twice Typer takes the last, and an option for a value that was forgotten."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # to complete a line that is not finished
            check_options(args, [parameter for parameter in self.params if parameter.param_type_name == "option"])
        return super().parse_args(ctx, args)


def check_options(words: Sequence[str], options: Sequence[Any]) -> None:
    """Raise `ConfigError` for an option where another's value should be, and for one that is no list and said twice."""
    known = {name: option for option in options for name in option.opts}
    said: dict[str, str] = {}
    for word, after in pairwise([*words, ""]):
        name, equals, _ = word.partition("=")
        if word == "--":  # none after it is an option
            return
        if name not in known or known[name].is_flag:
            continue
        if not equals and after.partition("=")[0] in known:
            raise ConfigError(f"{name} has no value, for {after} is an option; if it is the value, write {name}={after}")
        shown = word if equals else f"{word} {after}"
        if not known[name].multiple and said.setdefault(name, shown) != shown:
            raise ConfigError(f"{name} is said twice: {said[name]} and {shown}")


def check_readable(words: Sequence[str]) -> None:
    """Raise `ConfigError` for a word whose bytes are no text: no prompt, name or path could be shown, or written into a manifest."""
    for word in words:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:  # of what Python keeps of such bytes
            shown = os.fsencode(word).decode("utf-8", "backslashreplace")
            raise ConfigError(f"cannot read '{shown}': its bytes are not UTF-8; type it in a UTF-8 terminal, or rename the file") from error
