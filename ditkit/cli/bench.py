"""`ditkit bench`: what is gained and what is lost by plans, fewer steps and other engines."""

from collections.abc import Mapping
from typing import Annotated

import typer

from ditkit.cli import completion, options
from ditkit.cli.launch import launch, typed
from ditkit.cli.overrides import Value
from ditkit.errors import ConfigError

POLICY_HELP = (
    "A rule to measure: similarity, every, random, top, bottom, forecast or l2p, as in every:0.5; may be repeated. Without, the first five."
)
EVERY = "all"  # in place of a model: those that a GPU's report is about
RUNS = "whole runs"
MEASURED = {  # in place of those
    "--parts": "the parts of an evaluation",
    "--gpu-report": "a GPU's report",
    "--boxes": "ways to enforce boxes",
}
HEARD = {  # what a flag says something of, where that is not everything
    **dict.fromkeys(("--plan", "--policy", "--budget", "--fewer", "--against"), (RUNS,)),
    **dict.fromkeys(("--reference", "--count"), (RUNS, MEASURED["--boxes"])),
    **{flag: (what,) for flag, what in MEASURED.items()},
    "--rules": (MEASURED["--boxes"],),
    "--beside": (MEASURED["--parts"],),
    "--prompts": (RUNS, MEASURED["--parts"], MEASURED["--gpu-report"]),
}
TRAINING = ("--data", "--batch", "--seed", "--out")  # what can be said of a training step beside its model and overrides


def bench(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Of which model; or a diffusers pipeline's folder.", autocompletion=completion.models),
    ] = None,
    overrides: options.Overrides = None,
    steps: options.Steps = None,
    solver: options.Solver = None,
    guidance: options.Guidance = None,
    prompts: options.Prompts = None,
    plans: Annotated[
        list[str] | None, typer.Option("--plan", metavar="FILE", help="A plan to measure; may be repeated. Without, the shipped ones.")
    ] = None,
    policies: Annotated[list[str] | None, typer.Option("--policy", metavar="NAME[:BUDGET]", help=POLICY_HELP)] = None,
    budget: options.Budget = None,
    fewer: Annotated[
        list[str] | None, typer.Option(metavar="N", help="A baseline of that many evaluations; may be repeated. Without, equal cost.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="On the same weights: diffusers, cache-dit, or fewer steps of dpm-solver++; may be repeated."),
    ] = None,
    boxes: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare ways to enforce the boxes of these layouts: a file, or `held-out`.")
    ] = None,
    rules: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A set of rules for the boxes; may be repeated. Without, four of them.")
    ] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Time the parts of one evaluation instead.")] = False,
    gpu_report: Annotated[
        bool, typer.Option("--gpu-report", help="Measure what a GPU makes of the large models, or of MODEL, in every mode; eight minutes.")
    ] = False,
    train: Annotated[
        bool, typer.Option("--train", help="With --parts: time those of a training step, asked for in the words of `ditkit train`.")
    ] = False,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="With --train: what to learn from.")] = None,
    beside: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="With --parts: another model, timed in turns; may be repeated.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="PATH", help="Real pictures, for the Frechet distance to them; drawings to put into boxes.")
    ] = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many each way; 64 if not given, or one of each layout.")] = None,
    batch: options.Batch = None,
    seed: options.Seed = None,
    out: options.Out = None,
    weights: options.Weights = None,
    lora: options.Lora = None,
    cfg: options.Cfg = False,
    as_json: options.Json = False,
) -> None:
    """Run plans, policies and fewer steps of one model in turns, or ways to enforce boxes, and say what each gains and loses."""
    if train:
        return launch_training(context)
    if data is not None:
        raise ConfigError("--data is what a training step learns from: say --train too")
    flags, _ = typed(context)
    check_heard(flags)
    launch(context, {**flags, "MODEL": EVERY} if gpu_report and flags["MODEL"] is None else None)


def check_heard(flags: Mapping[str, Value]) -> None:
    """Raise `ConfigError` for a flag that would be ignored, as it says nothing of what is to be measured."""
    given = {flag for flag, value in flags.items() if value not in (None, False, [])}
    what = next((MEASURED[flag] for flag in MEASURED if flag in given), RUNS)
    if other := sorted(flag for flag in given if what not in HEARD.get(flag, (what,))):
        raise ConfigError(f"{', '.join(other)} says nothing of {what}, but of {' and '.join(HEARD[other[0]])}; leave it out")


def launch_training(context: typer.Context) -> None:
    """Compose what `ditkit train` would, and time it. Raises `ConfigError` for a flag that says nothing of a training step."""
    flags, words = typed(context)
    given = {flag for flag, value in flags.items() if value not in (None, False, [])}
    if "--parts" not in given:
        raise ConfigError("--train times the parts of a training step: say --parts too")
    if other := sorted(given - {"MODEL", "--parts", "--train", *TRAINING}):
        raise ConfigError(f"{', '.join(other)} says nothing of a training step; leave it out")
    launch(context, {"RECIPE": flags["MODEL"], **{flag: flags[flag] for flag in TRAINING}}, words, asks="train", run="run_training")
