"""`ditkit bench`: what is gained and what is lost by plans, fewer steps and other engines."""

from typing import Annotated

import typer

from ditkit.cli import completion
from ditkit.cli.launch import launch
from ditkit.cli.options import Batch, Cfg, Json, Overrides
from ditkit.cli.overrides import named


def bench(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Of which model.", autocompletion=completion.models)] = None,
    overrides: Overrides = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="Network evaluations; the model's own number if not given.")] = None,
    solver: Annotated[str | None, typer.Option(metavar="NAME", help="With which solver.", autocompletion=completion.solvers)] = None,
    guidance: Annotated[str | None, typer.Option(metavar="W", help="How strongly to follow the class.")] = None,
    prompts: Annotated[str | None, typer.Option(metavar="FILE", help="A text file of prompts, for a model that reads them.")] = None,
    plans: Annotated[
        list[str] | None, typer.Option("--plan", metavar="FILE", help="A plan to measure; may be repeated. Without, the shipped ones.")
    ] = None,
    policies: Annotated[
        list[str] | None, typer.Option("--policy", metavar="NAME[:BUDGET]", help="A rule to measure; may be repeated. Without, all.")
    ] = None,
    budget: Annotated[str | None, typer.Option(metavar="SHARE", help="The share of multiply-adds that the rules may spend.")] = None,
    fewer: Annotated[
        list[str] | None, typer.Option(metavar="N", help="A baseline of that many evaluations; may be repeated. Without, equal cost.")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Another engine on the same weights: diffusers or cache-dit.")
    ] = None,
    boxes: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare ways to enforce the boxes of these layouts: a file, or `held-out`.")
    ] = None,
    rules: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A set of rules for the boxes; may be repeated. Without, four of them.")
    ] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Time the parts of one evaluation instead.")] = False,
    beside: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="With --parts: another model, timed in turns; may be repeated.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="PATH", help="Real pictures, for the Frechet distance to them; drawings to put into boxes.")
    ] = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many images each way; 64, or one a layout, if not given.")] = None,
    batch: Batch = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the first image.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where the page, the plot and the numbers are written.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="FILE", help="A checkpoint of the model, or `random`.")] = None,
    cfg: Cfg = False,
    as_json: Json = False,
) -> None:
    """Run plans, policies and fewer steps of one model in turns, or ways to enforce boxes, and say what each gains and loses."""
    model, words = named(model, overrides)
    flags = {
        "--model": model,
        "--steps": steps,
        "--solver": solver,
        "--guidance": guidance,
        "--prompts": prompts,
        "--plan": plans,
        "--policy": policies,
        "--budget": budget,
        "--fewer": fewer,
        "--against": against,
        "--boxes": boxes,
        "--rules": rules,
        "--parts": parts,
        "--beside": beside,
        "--reference": reference,
        "--count": count,
        "--batch": batch,
        "--seed": seed,
        "--out": out,
        "--weights": weights,
    }
    launch("bench", flags, words, cfg=cfg, as_json=as_json)
