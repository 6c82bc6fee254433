"""From what was typed to a task that runs: what every configured command does, once."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from ditkit.cli.overrides import Value, from_flags


def launch(
    command: str, flags: Mapping[str, Value], overrides: Sequence[str] | None, *, cfg: bool, as_json: bool, dry_run: bool = False
) -> None:
    """Compose the command's configuration, then print it (`cfg`), estimate its cost (`dry_run`) or run the task of the same name."""
    settings = from_flags(flags, overrides or [])

    from ditkit.cli.console import progress, show
    from ditkit.config.compose import compose
    from ditkit.config.schema import COMMANDS

    config = compose(COMMANDS[command], settings)
    if cfg:
        return show_configuration(config)
    name = command.replace("-", "_")
    task = getattr(__import__("ditkit.tasks", fromlist=[name]), name)  # as `from ditkit.tasks import NAME`
    if dry_run:
        return show(task.estimate(config), as_json)
    with progress() as shown:
        report = task.run(config, shown)
    show(report, as_json)


def show_configuration(config: Any) -> None:
    """The whole of it as YAML: what `--cfg` prints."""
    from ditkit.config.compose import as_yaml

    typer.echo(as_yaml(config), nl=False)
