"""The program `ditkit`: its commands, and what becomes of an error.

Exit codes: 0 done; 2 something the user can fix, one line on stderr; 1 a bug, with its traceback; 128 + n ended by signal n, so 130
interrupted and 143 terminated.
"""

import contextlib
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ditkit import __version__
from ditkit.cli import accelerate, bench, doctor, eval, gen3d, ground, models, plan, process, sample, train, train_router, ui
from ditkit.cli.words import Command, check_readable
from ditkit.engine import signals
from ditkit.errors import DitkitError, is_out_of_memory
from ditkit.results.printable import one_line

INTERRUPTED = signals.Stopped(signal.SIGINT)
LEFT = 128 + 13  # as of SIGPIPE, which Python ignores and Windows has not
LONGEST = 200  # letters of a path that a message repeats


class OneLineErrors(TyperGroup):
    """A group whose errors are one line each, whoever raised them."""

    def main(self, args: Sequence[str] | None = None, *more: Any, standalone_mode: bool = True, **named: Any) -> Any:
        if not standalone_mode:
            return super().main(args, *more, standalone_mode=False, **named)
        try:
            process.check_folder()
            check_readable(sys.argv[1:] if args is None else args)
            code = super().main(args, *more, standalone_mode=False, **named) or 0
            if code == INTERRUPTED.code:
                _say(str(INTERRUPTED))
        except typer.TyperException as error:
            code = _say(_usage(error))
        except DitkitError as error:
            code = _say(str(error))
        except signals.Stopped as stopped:
            code = _say(str(stopped), stopped.code)
        except (OSError, MemoryError, RuntimeError, ImportError) as error:
            if (reason := _lacking(error)) is None:
                raise
            code = _say(reason)
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        """Flush before returning, so that a reader who has left (`ditkit models | head -1`) is noticed here, and nothing said of it."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            if error.filename != process.STDOUT:
                raise
            process.drop_stdout()
            raise typer.Exit(LEFT) from error
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


app.command("sample", cls=Command, short_help="Draw images with a model.")(sample.sample)
app.command("ground", cls=Command, short_help="Draw images with things in boxes.")(ground.ground)
app.command("gen3d", cls=Command, short_help="Make point clouds, meshes and pictures of them.")(gen3d.gen3d)
app.command("train", cls=Command, short_help="Train a model, or go on training it.")(train.train)
app.command("train-router", cls=Command, short_help="Learn which branches of a model may be reused.")(train_router.train_router)
app.command("bench", cls=Command, short_help="Measure what plans, fewer steps and other engines gain and lose.")(bench.bench)
app.command("accelerate", cls=Command, short_help="Make a plan for any diffusers pipeline.")(accelerate.accelerate)
app.command("eval", cls=Command, short_help="Measure what was made.")(eval.evaluate)
app.command("ui", cls=Command, short_help="Serve a page to this machine: draw boxes, turn shapes, look at runs.")(ui.ui)
app.command("doctor", cls=Command, short_help="Say what is installed and what is missing.")(doctor.doctor)
app.add_typer(plan.app, name="plan", short_help="Look at a cache plan, import or export one, compare two.")
app.add_typer(models.app, name="models", short_help="List models, describe one, convert weights.")


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the command line; of all options that look alike, only the nearest is suggested."""
    if not (possible := getattr(error, "possibilities", None)):
        return error.format_message()
    nearest = get_close_matches(getattr(error, "option_name", ""), possible, n=1, cutoff=0.0)
    return f"{error.message} (Possible options: {nearest[0]})"


def _lacking(error: Exception) -> str | None:
    """What the system lacks, or has otherwise than was expected: memory, room, a path. None if the error is a bug."""
    if is_out_of_memory(error):
        return "out of memory; make less at a time, as with a smaller --batch, or use a machine that has more"
    if not isinstance(error, OSError):
        return None
    if error.filename == process.STDOUT:
        process.drop_stdout()
        return f"cannot write to {process.STDOUT}: {error.strerror}"
    if error.filename is not None:  # a path that nobody expected to be wrong: too long, not permitted, gone meanwhile
        return f"cannot use {_shortened(str(error.filename))}: {error.strerror}"
    return f"the system refuses to go on: {error.strerror or error}"


def _shortened(path: str) -> str:
    return path if len(path) <= LONGEST else f"{path[:LONGEST]}\u2026"


def _say(message: str, code: int = 2) -> int:
    """One line on stderr, however many the message has; the exit code."""
    with contextlib.suppress(OSError):  # nobody can be told
        print(f"ditkit: {one_line(message)}", file=sys.stderr, flush=True)
    return code


def main() -> None:
    process.open_streams()
    with signals.obeyed():
        app(prog_name="ditkit")


if __name__ == "__main__":
    main()
