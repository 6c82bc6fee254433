"""`ditkit eval`: measure what was made."""

from typing import Annotated

import typer

from ditkit.cli.options import Json


def evaluate(
    target: Annotated[str, typer.Argument(metavar="RUN", help="A run folder; or `judge`, or a codec by name, to measure it on --data.")],
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="Pictures to compare with: a folder of images per class, or an .npz.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a run: does the judge see what was asked for, and how near is it to the training pictures?"""
    from ditkit.cli.console import show
    from ditkit.tasks import eval as task

    show(task.run(target, data), as_json)
