"""`ditkit ground`: draw images with things in boxes.

Numbers stay text here: the configuration checks them, so that a flag and an override fail in the same words.
"""

from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.launch import launch
from ditkit.cli.options import Batch, Cfg, Json, Overrides


def ground(
    overrides: Overrides = None,
    boxes: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Layouts as .json or .jsonl, HRS prompts, or `held-out`; what --example prints if not given."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="What to draw, in place of a file.")] = None,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", metavar="BOX", help='A phrase of the prompt and its box, as in "dog: 0.1,0.2,0.5,0.9"; may be repeated.'),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which model; `ditkit models` lists them.", autocompletion=completion.prompted)
    ] = None,
    negative: Annotated[str | None, typer.Option(metavar="TEXT", help="What to lead away from; the empty prompt if not given.")] = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many images of each layout; 1 if not given.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of a layout's first image; each next one has the next seed.")] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Network evaluations; the model's own number if not given.")] = None,
    guidance: Annotated[str | None, typer.Option(metavar="W", help="How strongly to follow prompt and phrases; 1 is no stronger.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Pull once a step, by the first half of the blocks: the rules named fast.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Reuse branches between evaluations, by the best plan known.")] = False,
    plan: Annotated[str | None, typer.Option(metavar="FILE", help="Reuse branches by this plan.")] = None,
    batch: Batch = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where to write; a rerun continues there.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="FILE", help="A checkpoint to use, or `random`.")] = None,
    source: Annotated[str | None, typer.Option("--from", metavar="RUN", help="Repeat the run of this folder or manifest.json.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a layout to start from and stop.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of layouts and stop.")] = False,
    cfg: Cfg = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what the run would cost and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Draw images with things in boxes."""
    if example or schema:
        from ditkit.config.layouts import EXAMPLE, SCHEMA, shipped

        typer.echo(shipped(EXAMPLE if example else SCHEMA), nl=False)
        return
    flags = {
        "--from": source,
        "--boxes": boxes,
        "--prompt": prompt,
        "--box": box,
        "--model": model,
        "--negative": negative,
        "--count": count,
        "--seed": seed,
        "--steps": steps,
        "--guidance": guidance,
        "--fast": fast,
        "--cache": cache,
        "--plan": plan,
        "--batch": batch,
        "--out": out,
        "--weights": weights,
    }
    launch("ground", flags, overrides, cfg=cfg, as_json=as_json, dry_run=dry_run)
