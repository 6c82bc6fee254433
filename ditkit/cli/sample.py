"""`ditkit sample`: draw images with a model."""

from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.launch import launch


def sample(
    context: typer.Context,
    overrides: options.Overrides = None,
    model: options.Model = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="NAME", help="What to draw, by name or number; may be repeated.", autocompletion=completion.classes
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="TEXT", help="What to draw, in words, with a model that reads them; may be repeated."),
    ] = None,
    prompts: options.Prompts = None,
    negative: options.Negative = None,
    size: options.Size = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many; 16 if not given. Of prompts, how many of each: 1.")] = None,
    seed: options.Seed = None,
    steps: options.Steps = None,
    solver: options.Solver = None,
    guidance: options.Guidance = None,
    cache: options.Cache = False,
    budget: options.Budget = None,
    plan: options.Plan = None,
    batch: options.Batch = None,
    out: options.Out = None,
    weights: options.Weights = None,
    lora: options.Lora = None,
    source: options.Source = None,
    cfg: options.Cfg = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Draw images with a model."""
    launch(context)
