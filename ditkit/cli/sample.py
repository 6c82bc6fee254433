"""`ditkit sample`: draw images with a model.

Numbers stay text here: the configuration checks them, so that a flag and an override fail in the same words.
"""

from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.launch import launch
from ditkit.cli.options import Batch, Cfg, Json, Overrides


def sample(
    overrides: Overrides = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which model; `ditkit models` lists them.", autocompletion=completion.models)
    ] = None,
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
    prompts: Annotated[str | None, typer.Option(metavar="FILE", help="A text file with a prompt on each line.")] = None,
    negative: Annotated[str | None, typer.Option(metavar="TEXT", help="What to lead away from; the empty prompt if not given.")] = None,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Height and width of images drawn from a prompt.")] = None,
    count: Annotated[
        str | None, typer.Option(metavar="N", help="How many images, with prompts of each; 16, with prompts 1, if not given.")
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the first image; each next one has the next seed.")] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Network evaluations; the model's own number if not given.")] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="ddim, ddpm, dpm-solver-2, dpm-solver++; of flows euler, heun, euler-maruyama ...; the model's own if not given.",
            autocompletion=completion.solvers,
        ),
    ] = None,
    guidance: Annotated[str | None, typer.Option(metavar="W", help="How strongly to follow class or prompt; 1 is no stronger.")] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Reuse branches between evaluations, by the best plan known.")] = False,
    plan: Annotated[str | None, typer.Option(metavar="FILE", help="Reuse branches by this plan.")] = None,
    batch: Batch = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where to write; a rerun continues there.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="FILE", help="A checkpoint to use, or `random`.")] = None,
    source: Annotated[str | None, typer.Option("--from", metavar="RUN", help="Repeat the run of this folder or manifest.json.")] = None,
    cfg: Cfg = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what the run would cost and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Draw images with a model."""
    flags = {
        "--from": source,
        "--model": model,
        "--class": classes,
        "--prompt": prompt,
        "--prompts": prompts,
        "--negative": negative,
        "--size": size,
        "--count": count,
        "--seed": seed,
        "--steps": steps,
        "--solver": solver,
        "--guidance": guidance,
        "--cache": cache,
        "--plan": plan,
        "--batch": batch,
        "--out": out,
        "--weights": weights,
    }
    launch("sample", flags, overrides, cfg=cfg, as_json=as_json, dry_run=dry_run)
