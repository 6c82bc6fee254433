"""`ditkit gen3d`: make point clouds with a model.

Numbers stay text here: the configuration checks them, so that a flag and an override fail in the same words.
"""

from pathlib import Path
from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.launch import launch
from ditkit.cli.options import Batch, Cfg, Json, Overrides
from ditkit.config.quoting import quoted

RUNS = ("", ".json")  # how the name of a run's folder or manifest ends; anything else is a cloud


def gen3d(
    overrides: Overrides = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which model; `ditkit models` lists them.", autocompletion=completion.clouds)
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(
            "--category", metavar="NAME", help="What to make, by name or number; may be repeated.", autocompletion=completion.categories
        ),
    ] = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many clouds; 4 if not given.")] = None,
    points: Annotated[str | None, typer.Option(metavar="N", help="Points of a cloud; the model's own number if not given.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the first cloud; each next one has the next seed.")] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Network evaluations; the model's own number if not given.")] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="ddim, ddpm, dpm-solver-2 or dpm-solver++; the model's own if not given.",
            autocompletion=completion.solvers,
        ),
    ] = None,
    guidance: Annotated[
        str | None, typer.Option(metavar="W", help="How strongly to follow the category; 1 is not at all stronger.")
    ] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Reuse branches between evaluations, by the best plan known.")] = False,
    plan: Annotated[str | None, typer.Option(metavar="FILE", help="Reuse branches by this plan.")] = None,
    batch: Batch = None,
    mesh: Annotated[bool, typer.Option("--mesh", help="Also write a surface around each cloud, as .obj.")] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="CLOUD|RUN", help="A part of a shape (.ply, .npy, a mesh) to complete; or a run to repeat."),
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where to write; a rerun continues there.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="FILE", help="A checkpoint to use, or `random`.")] = None,
    cfg: Cfg = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what the run would cost and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Make point clouds with a model: .ply files, a grid, a turntable, and with --mesh surfaces."""
    words, run = list(overrides or []), source
    if source is not None and Path(source).suffix.lower() not in RUNS and not Path(source).is_dir():
        words, run = [f"partial={quoted(source)}", *words], None
    flags = {
        "--from": run,
        "--model": model,
        "--category": categories,
        "--count": count,
        "--points": points,
        "--seed": seed,
        "--steps": steps,
        "--solver": solver,
        "--guidance": guidance,
        "--cache": cache,
        "--plan": plan,
        "--batch": batch,
        "--mesh": mesh,
        "--out": out,
        "--weights": weights,
    }
    launch("gen3d", flags, words, cfg=cfg, as_json=as_json, dry_run=dry_run)
