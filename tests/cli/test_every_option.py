"""Every option of every command, read from the commands themselves: hostile numbers, and pipes in place of files, are one line each."""

import os
import signal
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import ditkit
from ditkit.cli.app import app

PLAN = str(min((Path(ditkit.__file__).parent / "assets" / "plans").glob("*.json")))
NUMBERS = ("N", "W", "SHARE", "X", "HxW")  # as options call them
PATHS = ("FILE", "PATH", "FOLDER", "RUN", "CLOUD|RUN", "FILE[:SCALE]", "PLAN", "ROUTER", "PIPELINE", "RUN|KEY=VALUE", "OUT", "MODEL")
NEEDED: dict[str, dict[str, str]] = {  # what else a command has to be told
    "train": {"RECIPE": "dit-emoji"},
    "plan show": {"FILE": PLAN},
    "plan import": {"SOURCE": "router.pth", "--out": "out.json"},
    "plan diff": {"FIRST": PLAN, "SECOND": PLAN},
    "plan export": {"FILE": PLAN, "--to": "cache-dit", "--out": "out.json"},
    "models convert": {"FILE": "weights.pt", "OUT": "out.safetensors"},
}
NO_NUMBERS = ["nan", "inf", "-inf", "٣", "1_0", "0x10", "1e400", "", "9" * 400, "one"]


def options(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Command, option or argument, and what it takes."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from options(inner, (*path, name))
    for option in () if hasattr(command, "commands") else command.params:
        yield " ".join(path), option.opts[0] if option.param_type_name == "option" else option.name.upper(), str(option.metavar)


EVERY = list(options(get_command(app)))
NUMERIC = [(command, name, kind) for command, name, kind in EVERY if kind in NUMBERS]
NAMED = [(command, name) for command, name, kind in EVERY if kind in PATHS]


@pytest.fixture
def no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of one's own, in which nothing waits for ever."""

    def waited(number: int, frame: Any) -> None:
        raise TimeoutError("it waits for ever")

    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(240)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def said(command: str, name: str, value: str) -> str:
    """The one line of a command that refuses this value."""
    words = {**NEEDED.get(command, {}), name: value}
    typed = [word for key, given in words.items() for word in ([f"{key}={given}"] if key.startswith("--") else [given])]
    result = CliRunner().invoke(app, [*command.split(), *typed])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit), (command, name, value, result.output)
    assert result.output.startswith("ditkit: ") and result.output.count("\n") == 1, (command, name, value, result.output)
    return result.output


def refused(command: str, name: str, kind: str, value: str, folder: Path) -> None:
    said(command, name, f"{value}x{value}" if kind == "HxW" else value)
    assert list(folder.iterdir()) == []


def test_what_is_no_number_in_ascii_digits_is_one_line_whichever_the_option(no_waiting: Path) -> None:
    """Every third option, each with another one of them."""
    for (command, name, kind), value in zip(NUMERIC[::3], cycle(NO_NUMBERS), strict=False):
        refused(command, name, kind, value, no_waiting)


@pytest.mark.slow
@pytest.mark.parametrize("value", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
@pytest.mark.parametrize(("command", "name", "kind"), NUMERIC, ids=[f"{command} {name}" for command, name, _ in NUMERIC])
def test_every_option_refuses_all_of_them(no_waiting: Path, command: str, name: str, kind: str, value: str) -> None:
    refused(command, name, kind, value, no_waiting)


def test_a_pipe_in_place_of_a_file_is_one_line_and_stays_a_pipe_whichever_the_option(no_waiting: Path) -> None:
    os.mkfifo("pipe")
    (no_waiting / "link.json").symlink_to("pipe")
    for (command, name), value in zip(NAMED, cycle(("pipe", "link.json")), strict=False):
        said(command, name, value)
        assert sorted(file.name for file in no_waiting.iterdir()) == ["link.json", "pipe"] and Path("pipe").is_fifo()


def test_the_lists_of_options_are_not_empty() -> None:
    assert len(NUMERIC) > 40 and len(NAMED) > 40
