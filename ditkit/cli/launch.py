"""From what was typed to a task that runs: what every configured command does, once.

A command's signature is the only list of its options: what was typed for each is read from the context.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from ditkit.cli.overrides import Value, from_flags
from ditkit.errors import ConfigError
from ditkit.files.regular import check_regular

MAY_BE_EMPTY = ("prompts", "negative", "pipeline")  # what nothing is asked in, and what says itself that it is missing
ASIDE = ("--cfg", "--json", "--dry-run")  # say what to do with a configuration, and are no part of it


def typed(context: typer.Context) -> tuple[dict[str, Value], list[str]]:
    """The command's flags by their names, arguments in capitals, and its overrides; a first word with an equals sign is one of these.

    Raises `ConfigError` for a configuration that is asked for as JSON.
    """
    if context.params.get("cfg") and context.params.get("as_json"):
        raise ConfigError("--cfg prints YAML; leave out --json")
    flags: dict[str, Value] = {}
    words: list[str] = []
    for parameter in context.command.params:
        value: Any = context.params.get(str(parameter.name))
        value = list(value) if isinstance(value, tuple) else value
        if parameter.name == "overrides":
            words += value or []
        elif parameter.param_type_name == "argument":
            first = isinstance(value, str) and "=" in value
            words[:0] = [value] if first else []
            flags[str(parameter.name).upper()] = None if first else value
        elif parameter.opts[0] not in (*ASIDE, "--help"):
            flags[parameter.opts[0]] = value
    return flags, words


def launch(
    context: typer.Context,
    flags: Mapping[str, Value] | None = None,
    overrides: Sequence[str] | None = None,
    *,
    asks: str | None = None,
    run: str = "run",
) -> None:
    """Compose the command's configuration, then print it (--cfg), estimate its cost (--dry-run) or run the task of the same name.

    `flags` and `overrides` stand in for what was typed, where a command has to read it first. The command may ask for what another one
    `asks` for, and have another function of its task `run`.
    """
    own, words = typed(context)
    settings = from_flags(own if flags is None else flags, words if overrides is None else overrides)

    from ditkit.cli.console import progress, show
    from ditkit.config.compose import compose
    from ditkit.config.schema import COMMANDS

    command = str(context.command.name)
    config = compose(COMMANDS[asks or command], settings)
    check_paths(config)
    if context.params["cfg"]:
        return show_configuration(config)
    name, as_json = command.replace("-", "_"), context.params["as_json"]
    task = getattr(__import__("ditkit.tasks", fromlist=[name]), name)  # as `from ditkit.tasks import NAME`
    if context.params.get("dry_run"):
        return show(task.estimate(config), as_json)
    with progress() as shown:
        report = getattr(task, run)(config, shown)
    show(report, as_json)


def check_paths(config: Any) -> None:
    """Raise `ConfigError` where a pipe or a device is named, which would be waited for, whichever option it is, and where nothing is:
    as by a variable of the shell that is not set.
    """
    for name, value in _texts(asdict(config)):
        if not value.strip() and name.rpartition(".")[2] not in MAY_BE_EMPTY:
            raise ConfigError(f"{name} is empty; say which, or leave it out")
        check_regular(Path(value), ConfigError)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a configuration with its dotted name; those of a list have that of the list."""
    match value:
        case str():
            yield name, value
        case dict():
            for key, each in value.items():
                yield from _texts(each, f"{name}.{key}" if name else key)
        case list() | tuple():
            for each in value:
                yield from _texts(each, name)


def show_configuration(config: Any) -> None:
    """The whole of it as YAML: what `--cfg` prints."""
    from ditkit.config.compose import as_yaml

    typer.echo(as_yaml(config), nl=False)
