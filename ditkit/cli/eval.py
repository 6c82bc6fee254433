"""`ditkit eval`: measure what was made."""

import os
from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.generate import divided, generated, sampling
from ditkit.cli.launch import check_paths, launch, show_configuration, typed
from ditkit.cli.overrides import from_flags
from ditkit.config.quoting import quoted


def evaluate(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|KEY=VALUE",
            help="Run folders, folders or files of samples; anything else that --cfg shows. Or `judge`, or ae-emoji: how good it is.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="What to compare with: pictures, or clouds by category.")] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option("--category", metavar="NAME", help="Of clouds: only these; may be repeated.", autocompletion=completion.categories),
    ] = None,
    distances: Annotated[
        list[str] | None,
        typer.Option("--distance", metavar="NAME", help="Between clouds: cd (Chamfer), emd-exact, emd-annealed, ...; may be repeated."),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Measure real ones in place of samples too: training shapes, or drawings put into the boxes.")
    ] = False,
    generate: Annotated[
        bool, typer.Option("--generate", help="Sample first, as KEY=VALUE says (model=dit-emoji count=1110), or go on with it.")
    ] = False,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Of everything drawn while measuring.")] = None,
    save_npz: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the pictures, or without a RUN those of --data and their moments, for ADM's evaluator."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where to write the report; beside the samples of a single run if not given.")
    ] = None,
    cfg: options.Cfg = False,
    as_json: options.Json = False,
) -> None:
    """Measure runs against data: pictures by a judge, clouds by 1-NNA, coverage, MMD and JSD."""
    flags, _ = typed(context)
    flags |= {"WORDS": None, "--category": None, "--generate": None}  # read here
    targets = [word for word in words or [] if "=" not in word or os.path.exists(word)]  # Path.exists raises for a long word
    overrides = [word for word in words or [] if word not in targets]
    overrides, to_sample = divided(overrides) if generate else (overrides, [])
    if categories:
        overrides.insert(0, f"data.categories=[{','.join(map(quoted, categories))}]")
    flags["RUN"] = targets
    if generate:
        measured = from_flags(flags, overrides)
        config = sampling(to_sample, measured)
        check_paths(config)
        if cfg:
            show_configuration(config)
            typer.echo("---")
        else:
            flags["RUN"] = [*targets, generated(config, measured)]
    launch(context, flags, overrides)
