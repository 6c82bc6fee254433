"""`ditkit train-router`: learn which branches of a model may be reused."""

from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.launch import launch


def train_router(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="For which model.", autocompletion=completion.models)] = None,
    overrides: options.Overrides = None,
    evaluations: Annotated[str | None, typer.Option(metavar="N", help="For runs of that many network evaluations.")] = None,
    solver: options.Solver = None,
    budget: options.Budget = None,
    max_error: Annotated[
        str | None,
        typer.Option(metavar="X", help="With recipe=forecast, in place of --budget: the most error, as 0.02."),
    ] = None,
    speed_up: Annotated[
        str | None, typer.Option(metavar="X", help="With recipe=forecast, in place of --budget: times as fast, as 2.")
    ] = None,
    prompts: options.Prompts = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="Images per class, or an .npz; without, the model's own trajectories.")
    ] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Updates of the scores.")] = None,
    batch: options.Batch = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the scores, the data and the noise.")] = None,
    out: options.Out = None,
    weights: options.Weights = None,
    lora: options.Lora = None,
    cfg: options.Cfg = False,
    as_json: options.Json = False,
) -> None:
    """Learn which branches may be reused, and write the plan; the same command again goes on from the last saved state."""
    launch(context)
