"""`ditkit ui`: a page on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from ditkit.cli.numbers import whole_number


def ui(
    port: Annotated[
        int, typer.Option(metavar="N", parser=whole_number, help="Where to serve; the next free port if that is in use.")
    ] = 8050,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    runs: Annotated[str, typer.Option(metavar="FOLDER", help="Where runs are, and new ones go.")] = "runs",
) -> None:
    """Serve a page to this machine: draw pictures, boxes and shapes, and look at runs."""
    from ditkit.ui.server import serve

    serve(Path(runs), port, lambda line: typer.echo(line), browser)
