"""`ditkit train`: train a model, or go on training it."""

from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.options import Batch, Cfg, Json, Overrides
from ditkit.cli.overrides import from_flags


def train(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Which model; those that ditkit ships have presets.", autocompletion=completion.recipes),
    ] = None,
    overrides: Overrides = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="A folder of images, or of clouds and meshes, per class; or an .npz.")
    ] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Updates of the weights.")] = None,
    batch: Batch = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the weights, the data and the noise.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where the state and the weights are written.")] = None,
    cfg: Cfg = False,
    as_json: Json = False,
) -> None:
    """Train a model; the same command again goes on from the last saved state."""
    words = overrides or []
    if model is not None and "=" in model:  # no model was named, only options
        model, words = None, [model, *words]
    flags = {"MODEL": model, "--data": data, "--steps": steps, "--batch": batch, "--seed": seed, "--out": out}
    settings = from_flags(flags, words)

    from ditkit.cli.console import progress, show
    from ditkit.config.compose import as_yaml, compose
    from ditkit.config.schema import TrainConfig

    config = compose(TrainConfig, settings)
    if cfg:
        typer.echo(as_yaml(config), nl=False)
        return

    from ditkit.tasks import train as task

    with progress() as shown:
        report = task.run(config, shown)
    show(report, as_json)
