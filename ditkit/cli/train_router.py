"""`ditkit train-router`: learn which branches of a model may be reused."""

from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.launch import launch
from ditkit.cli.options import Batch, Cfg, Json, Overrides
from ditkit.cli.overrides import named


def train_router(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="For which model.", autocompletion=completion.models)] = None,
    overrides: Overrides = None,
    evaluations: Annotated[str | None, typer.Option(metavar="N", help="For runs of that many network evaluations.")] = None,
    solver: Annotated[str | None, typer.Option(metavar="NAME", help="For runs of that solver.", autocompletion=completion.solvers)] = None,
    budget: Annotated[str | None, typer.Option(metavar="SHARE", help="The share of a run's multiply-adds to keep, as 0.7.")] = None,
    prompts: Annotated[str | None, typer.Option(metavar="FILE", help="A text file of prompts, for a model that reads them.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="Images per class, or an .npz; without, the model's own trajectories.")
    ] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Updates of the scores.")] = None,
    batch: Batch = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the scores, the data and the noise.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where the state, the plan and the pictures are written.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="FILE", help="A checkpoint of the model.")] = None,
    cfg: Cfg = False,
    as_json: Json = False,
) -> None:
    """Learn which branches may be reused, and write the plan; the same command again goes on from the last saved state."""
    model, words = named(model, overrides)
    flags = {
        "--model": model,
        "--evaluations": evaluations,
        "--solver": solver,
        "--budget": budget,
        "--prompts": prompts,
        "--data": data,
        "--steps": steps,
        "--batch": batch,
        "--seed": seed,
        "--out": out,
        "--weights": weights,
    }
    launch("train-router", flags, words, cfg=cfg, as_json=as_json)
