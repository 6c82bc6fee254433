"""`ditkit bench`: what is gained and what is lost by plans, fewer steps and other engines."""

from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.launch import launch


def bench(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Of which model.", autocompletion=completion.models)] = None,
    overrides: options.Overrides = None,
    steps: options.Steps = None,
    solver: options.Solver = None,
    guidance: options.Guidance = None,
    prompts: options.Prompts = None,
    plans: Annotated[
        list[str] | None, typer.Option("--plan", metavar="FILE", help="A plan to measure; may be repeated. Without, the shipped ones.")
    ] = None,
    policies: Annotated[
        list[str] | None, typer.Option("--policy", metavar="NAME[:BUDGET]", help="A rule to measure; may be repeated. Without, all.")
    ] = None,
    budget: options.Budget = None,
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
    count: options.Count = None,
    batch: options.Batch = None,
    seed: options.Seed = None,
    out: options.Out = None,
    weights: options.Weights = None,
    cfg: options.Cfg = False,
    as_json: options.Json = False,
) -> None:
    """Run plans, policies and fewer steps of one model in turns, or ways to enforce boxes, and say what each gains and loses."""
    launch(context)
