"""`ditkit train`: train a model, or go on training it."""

from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.launch import launch
from ditkit.cli.options import Batch, Cfg, Json, Overrides
from ditkit.cli.overrides import named


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
    model, words = named(model, overrides)
    flags = {"MODEL": model, "--data": data, "--steps": steps, "--batch": batch, "--seed": seed, "--out": out}
    launch("train", flags, words, cfg=cfg, as_json=as_json)
