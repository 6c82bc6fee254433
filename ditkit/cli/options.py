"""Options that more than one command has, in the same words everywhere.

Numbers stay text here: the configuration checks them, so that a flag and an override fail in the same words.
"""

from typing import Annotated

import typer

from ditkit.cli import completion

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Anything else that --cfg shows, as in runtime=gpu runtime.threads=2.", show_default=False),
]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which model; `ditkit models` lists them.", autocompletion=completion.models)
]
Seed = Annotated[str | None, typer.Option(metavar="N", help="Seed of the first sample; each next one has the next seed.")]
Steps = Annotated[str | None, typer.Option(metavar="N", help="Network evaluations; the model's own number if not given.")]
Solver = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which solver; the model's own if not given.", autocompletion=completion.solvers)
]
Guidance = Annotated[
    str | None, typer.Option(metavar="W", help="Classifier-free guidance, null + W (cond - null): 1 is none; the model's if not given.")
]
Negative = Annotated[str | None, typer.Option(metavar="TEXT", help="A prompt to guide away from; the empty one if not given.")]
Prompts = Annotated[str | None, typer.Option(metavar="FILE", help="A text file with a prompt on each line, for models that read them.")]
Size = Annotated[str | None, typer.Option(metavar="HxW", help="Height and width of images drawn from a prompt.")]
Budget = Annotated[str | None, typer.Option(metavar="SHARE", help="The share of a run's multiply-adds to keep, as 0.7.")]
Cache = Annotated[bool, typer.Option("--cache", help="Forecast some evaluations by the best plan known: near-lossless, or of --budget.")]
Plan = Annotated[str | None, typer.Option(metavar="FILE", help="Forecast or reuse what this plan says.")]
Batch = Annotated[str | None, typer.Option(metavar="N", help="How many at a time.")]
Out = Annotated[str | None, typer.Option(metavar="FOLDER", help="Where to write, a folder in runs/ if not given; a rerun continues there.")]
Weights = Annotated[str | None, typer.Option(metavar="FILE", help="A checkpoint to use, a file or a folder; or `random`.")]
Lora = Annotated[
    list[str] | None, typer.Option("--lora", metavar="FILE[:SCALE]", help="A LoRA to merge into the weights; may be repeated.")
]
Source = Annotated[str | None, typer.Option("--from", metavar="RUN", help="Repeat the run of this folder or manifest.json.")]
Cfg = Annotated[bool, typer.Option("--cfg", help="Print the whole configuration and stop.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what the run would cost and stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else, on stdout.")]
