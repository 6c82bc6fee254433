"""What a command line is made of is checked once, for every command alike."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from ditkit.cli import models, plan
from ditkit.cli.app import app
from ditkit.cli.words import Command

COMMANDS = sorted(command.name or "" for command in app.registered_commands)


@pytest.mark.parametrize("command", [*COMMANDS, "plan show", "models", "models convert"])
def test_bytes_that_are_no_text_are_one_line_whichever_the_command(tmp_path: Path, command: str) -> None:
    words = [sys.executable, "-m", "ditkit", *command.split(), "--out", b"caf\xe9"]
    done = subprocess.run(words, capture_output=True, cwd=tmp_path, check=False)
    line = rb"ditkit: cannot read 'caf\xe9': its bytes are not UTF-8; type it in a UTF-8 terminal, or rename the file" + b"\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", line)
    assert list(tmp_path.iterdir()) == []


def test_every_command_drops_no_word() -> None:
    assert {command.cls for each in (app, models.app, plan.app) for command in each.registered_commands} == {Command}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("train --data a --data b", "--data is said twice: --data a and --data b"),
        ("sample --steps=3 --count 2 --steps 4", "--steps is said twice: --steps=3 and --steps 4"),
        ("ground --prompt a --prompt=b", "--prompt is said twice: --prompt a and --prompt=b"),
        ("sample --out --json", "--out has no value, for --json is an option; if it is the value, write --out=--json"),
        ("plan show a.json --png --json", "--png has no value, for --json is an option; if it is the value, write --png=--json"),
        ("sample --prompt --seed=3", "--prompt has no value, for --seed=3 is an option; if it is the value, write --prompt=--seed=3"),
        ("models convert a b --layout ditkit --layout diffusers", "--layout is said twice: --layout ditkit and --layout diffusers"),
    ],
)
def test_no_word_is_dropped_or_taken_for_another(ditkit_command: Callable[..., Result], asked, words: str, line: str) -> None:
    result = ditkit_command(*words.split())
    assert (result.exit_code, result.stdout, result.stderr, asked.calls) == (2, "", f"ditkit: {line}\n", [])


@pytest.mark.parametrize(
    "words",
    ["sample --class fox --class rocket", "sample --steps 3 --steps 3", "sample --json --json", "sample --out=--json", "sample --out -x"],
)
def test_lists_repetitions_and_values_that_look_like_options_are_heard(ditkit_command: Callable[..., Result], asked, words: str) -> None:
    assert ditkit_command(*words.split()).exit_code == 0 and len(asked.calls) == 1
