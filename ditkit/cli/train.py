"""`ditkit train`: train a model, or go on training it."""

from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.launch import launch


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Which model; those that ditkit ships have presets.", autocompletion=completion.recipes),
    ] = None,
    overrides: options.Overrides = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="A folder of images, or of clouds and meshes, per class; or an .npz.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", "--num-classes", metavar="N", help="How many the network has room for; those of the data if not given."),
    ] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Updates of the weights.")] = None,
    batch: options.Batch = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the weights, the data and the noise.")] = None,
    out: options.Out = None,
    cfg: options.Cfg = False,
    as_json: options.Json = False,
) -> None:
    """Train a model; the same command again goes on from the last saved state."""
    launch(context)
