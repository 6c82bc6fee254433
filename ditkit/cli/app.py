"""The program `ditkit`: its commands, and what becomes of an error.

Exit codes: 0 done; 2 something the user can fix, one line on stderr; 1 a bug, with its traceback; 130 interrupted.
"""

import sys
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ditkit import __version__
from ditkit.cli import bench, doctor, eval, gen3d, ground, models, plan, sample, train, train_router
from ditkit.cli.words import check_readable
from ditkit.errors import DitkitError

INTERRUPTED = 130
LONGEST = 200  # letters of a path that a message repeats


class OneLineErrors(TyperGroup):
    """A group whose errors are one line each, whoever raised them."""

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        try:
            check_readable(kwargs.get("args") or sys.argv[1:])
            code = super().main(*args, standalone_mode=False, **kwargs) or 0
            if code == INTERRUPTED:
                _say("interrupted")
        except typer.TyperException as error:
            code = _say(_usage(error))
        except DitkitError as error:
            code = _say(str(error))
        except OSError as error:  # of a path that nobody expected to be wrong: too long, not permitted, gone meanwhile
            if error.filename is None:
                raise
            code = _say(f"cannot use {_shortened(str(error.filename))}: {error.strerror}")
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        """Flush before returning, so that a reader who has left (`ditkit models | head -1`) is noticed where it is handled."""
        result = super().invoke(ctx)
        sys.stdout.flush()
        return result


app = typer.Typer(
    cls=OneLineErrors,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ditkit {__version__}")
        raise typer.Exit


@app.callback(help="Sample, train and look after diffusion transformers.")
def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command("sample", short_help="Draw images with a model.")(sample.sample)
app.command("ground", short_help="Draw images with things in boxes.")(ground.ground)
app.command("gen3d", short_help="Make point clouds, meshes and pictures of them.")(gen3d.gen3d)
app.command("train", short_help="Train a model, or go on training it.")(train.train)
app.command("train-router", short_help="Learn which branches of a model may be reused.")(train_router.train_router)
app.command("bench", short_help="Measure what plans, fewer steps and other engines gain and lose.")(bench.bench)
app.command("eval", short_help="Measure what was made.")(eval.evaluate)
app.command("doctor", short_help="Say what is installed and what is missing.")(doctor.doctor)
app.add_typer(plan.app, name="plan", short_help="Look at a cache plan, import one, compare two.")
app.add_typer(models.app, name="models", short_help="List models, describe one, convert weights.")


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the command line; of all options that look alike, only the nearest is suggested."""
    if not (possible := getattr(error, "possibilities", None)):
        return error.format_message()
    nearest = get_close_matches(getattr(error, "option_name", ""), possible, n=1, cutoff=0.0)
    return f"{error.message} (Possible options: {nearest[0]})"


def _shortened(path: str) -> str:
    return path if len(path) <= LONGEST else f"{path[:LONGEST]}\u2026"


def _say(message: str) -> int:
    """One line on stderr, however many the message has."""
    print(f"ditkit: {' '.join(message.split())}", file=sys.stderr)
    return 2


def main() -> None:
    app(prog_name="ditkit")


if __name__ == "__main__":
    main()
