"""`ditkit plan`: look at a cache plan, import one, compare two."""

from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.numbers import finite_number, whole_number
from ditkit.cli.options import Json
from ditkit.cli.words import Command

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look at a cache plan, import or export one, compare two.")
Plan = Annotated[str, typer.Argument(metavar="PLAN", help="A plan file.")]


@app.command("show", cls=Command)
def show_plan(
    file: Plan,
    png: Annotated[str | None, typer.Option(metavar="FILE", help="Draw the heatmap into this file.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a plan computes and what it reuses."""
    from ditkit.cli.console import show
    from ditkit.tasks import plan as task

    show(task.show(file, png), as_json)


@app.command("import", cls=Command)
def import_plan(
    source: Annotated[
        str, typer.Argument(metavar="ROUTER", help="A router published with Learning-to-Cache (.pt, .pth), or SmoothCache's JSON.")
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="The plan file to write.")],
    threshold: Annotated[
        float | None,
        typer.Option(metavar="X", parser=finite_number, help="Compute where the router's score is above this; as published if not given."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For which model; as the file tells if not given.", autocompletion=completion.models),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", parser=whole_number, help="SmoothCache only: for how many evaluations.")] = None,
    as_json: Json = False,
) -> None:
    """Make a plan file of somebody else's schedule."""
    from ditkit.cli.console import show
    from ditkit.tasks import plan as task

    show(task.import_plan(source, out, threshold=threshold, model=model, steps=steps), as_json)


@app.command("diff", cls=Command)
def diff_plans(first: Plan, second: Plan, as_json: Json = False) -> None:
    """Say where two plans differ."""
    from ditkit.cli.console import show
    from ditkit.tasks import plan as task

    show(task.diff(first, second), as_json)


@app.command("export", cls=Command)
def export_plan(
    file: Plan,
    to: Annotated[str, typer.Option(metavar="LIBRARY", help="For whom: cache-dit.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="The file to write.")],
    as_json: Json = False,
) -> None:
    """Write a plan as another library takes it."""
    from ditkit.cli.console import show
    from ditkit.tasks import plan as task

    show(task.export(file, to, out), as_json)
