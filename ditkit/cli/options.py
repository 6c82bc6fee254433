"""Flags that more than one command has."""

from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Anything else that --cfg shows, as in runtime=gpu runtime.threads=2.", show_default=False),
]
Batch = Annotated[str | None, typer.Option(metavar="N", help="How many at a time.")]
Cfg = Annotated[bool, typer.Option("--cfg", help="Print the whole configuration and stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else, on stdout.")]
