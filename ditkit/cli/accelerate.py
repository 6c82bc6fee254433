"""`ditkit accelerate`: a plan for any diffusers pipeline."""

from typing import Annotated

import typer

from ditkit.cli import options
from ditkit.cli.launch import launch


def accelerate(
    context: typer.Context,
    pipeline: Annotated[str | None, typer.Argument(metavar="PIPELINE", help="A folder as diffusers saves it, or a hub id.")] = None,
    overrides: options.Overrides = None,
    prompts: options.Prompts = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="The pipeline's num_inference_steps; 28 if not given.")] = None,
    budget: Annotated[str | None, typer.Option(metavar="SHARE", help="At which share of the steps its network is called; 0.5.")] = None,
    seed: options.Seed = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="The plan, a .json; the page is written beside it.")] = None,
    cfg: options.Cfg = False,
    as_json: options.Json = False,
) -> None:
    """Make a plan for a diffusers pipeline, and compare its runs with and without it."""
    launch(context)
