"""`ditkit models`: what there is, what one of them is, and its weights in another layout."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ditkit.cli import completion
from ditkit.cli.options import Json
from ditkit.cli.words import Command


class Layout(StrEnum):
    ditkit = "ditkit"
    diffusers = "diffusers"


class NameOrCommand(TyperGroup):
    """A word that is no command is the name of a model: `ditkit models dit-emoji`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = args[0] in self.list_commands(ctx) or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["show", *args])


app = typer.Typer(
    cls=NameOrCommand,
    invoke_without_command=True,
    rich_markup_mode=None,
    subcommand_metavar="[NAME | convert FILE OUT]",
    help="List the models, describe the one of that name, or convert weights.",
)


@app.callback()
def _listing(ctx: typer.Context, as_json: Json = False) -> None:
    if ctx.invoked_subcommand is None:
        from ditkit.cli.console import show
        from ditkit.tasks import models as task

        show(task.listing(), as_json)


@app.command("show", cls=Command, hidden=True)
def describe(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=completion.models)], as_json: Json = False
) -> None:
    """Describe one model."""
    from ditkit.cli.console import show
    from ditkit.tasks import models as task

    show(task.describe(name), as_json or _json_before(ctx))


@app.command(cls=Command)
def convert(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Weights in any known layout: a file or a diffusers folder.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The safetensors file to write, or the folder if for diffusers.")],
    layout: Annotated[Layout, typer.Option(help="Whose names the tensors get.")] = Layout.ditkit,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which model, where the file does not tell.", autocompletion=completion.models),
    ] = None,
    weights_key: Annotated[
        str | None,
        typer.Option("--weights-key", metavar="NAME", help="Which of several sets of weights; their average if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write weights as safetensors in another layout."""
    from ditkit.cli.console import show
    from ditkit.tasks import models as task

    show(task.convert(file, out, layout.value, model, weights_key), as_json or _json_before(ctx))


def _json_before(ctx: typer.Context) -> bool:
    """Whether --json stands before the name, where the group reads it."""
    return bool(ctx.parent and ctx.parent.params["as_json"])
