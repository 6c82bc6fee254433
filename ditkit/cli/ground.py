"""`ditkit ground`: draw images with things in boxes."""

from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.launch import launch


def ground(
    context: typer.Context,
    overrides: options.Overrides = None,
    boxes: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Layouts as .json or .jsonl, HRS prompts, or `held-out`; what --example prints if not given."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="What to draw, in place of a file.")] = None,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", metavar="BOX", help='A phrase of the prompt and its box, as in "dog: 0.1,0.2,0.5,0.9"; may be repeated.'),
    ] = None,
    size: options.Size = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which model; `ditkit models` lists them.", autocompletion=completion.prompted)
    ] = None,
    negative: options.Negative = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many of each layout; 1 if not given.")] = None,
    seed: options.Seed = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    fast: Annotated[bool, typer.Option("--fast", help="Pull once a step and not up to three times: rules.name=fast.")] = False,
    cache: options.Cache = False,
    budget: options.Budget = None,
    plan: options.Plan = None,
    batch: options.Batch = None,
    out: options.Out = None,
    weights: options.Weights = None,
    lora: options.Lora = None,
    source: options.Source = None,
    example: Annotated[bool, typer.Option("--example", help="Print a layout to start from and stop.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of layouts and stop.")] = False,
    cfg: options.Cfg = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Draw images with things in boxes."""
    if example or schema:
        from ditkit.config.layouts import EXAMPLE, SCHEMA, shipped

        return typer.echo(shipped(EXAMPLE if example else SCHEMA), nl=False)
    launch(context)
