"""`ditkit gen3d`: make point clouds with a model."""

from pathlib import Path
from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.launch import launch, typed
from ditkit.config.quoting import quoted

RUNS = ("", ".json")  # how the name of a run's folder or manifest ends; anything else is a cloud


def gen3d(
    context: typer.Context,
    overrides: options.Overrides = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which model; `ditkit models` lists them.", autocompletion=completion.clouds)
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(
            "--category", metavar="NAME", help="What to make, by name or number; may be repeated.", autocompletion=completion.categories
        ),
    ] = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many; 4 if not given.")] = None,
    points: Annotated[str | None, typer.Option(metavar="N", help="Points of a cloud; the model's own number if not given.")] = None,
    seed: options.Seed = None,
    steps: options.Steps = None,
    solver: options.Solver = None,
    guidance: options.Guidance = None,
    cache: options.Cache = False,
    budget: options.Budget = None,
    plan: options.Plan = None,
    batch: options.Batch = None,
    mesh: Annotated[bool, typer.Option("--mesh", help="Also write a surface around each cloud, as .obj.")] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="CLOUD|RUN", help="A part of a shape (.ply, .npy, a mesh, ...) to complete; or a run to repeat."),
    ] = None,
    out: options.Out = None,
    weights: options.Weights = None,
    cfg: options.Cfg = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Make point clouds with a model: .ply files, a grid, a turntable, and with --mesh surfaces."""
    flags, words = typed(context)
    if source is not None and Path(source).suffix.lower() not in RUNS and not Path(source).is_dir():
        flags["--from"], words = None, [f"partial={quoted(source)}", *words]
    launch(context, flags, words)
