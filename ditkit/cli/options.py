"""Flags that more than one command has."""

from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Anything else that --cfg shows, as in sampler.eta=0.5 runtime=gpu.", show_default=False),
]
Steps = Annotated[int | None, typer.Option(help="Network evaluations.", show_default=False)]
Batch = Annotated[int | None, typer.Option(help="How many at a time.", show_default=False)]
Cfg = Annotated[bool, typer.Option("--cfg", help="Print the whole configuration and stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else, on stdout.")]
