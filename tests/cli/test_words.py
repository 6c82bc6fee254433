"""What a command line is made of is checked once, for every command alike."""

import subprocess
import sys
from pathlib import Path

import pytest

from ditkit.cli.app import app

COMMANDS = sorted(command.name or "" for command in app.registered_commands)


@pytest.mark.parametrize("command", [*COMMANDS, "plan show", "models", "models convert"])
def test_bytes_that_are_no_text_are_one_line_whichever_the_command(tmp_path: Path, command: str) -> None:
    words = [sys.executable, "-m", "ditkit", *command.split(), "--out", b"caf\xe9"]
    done = subprocess.run(words, capture_output=True, cwd=tmp_path, check=False)
    line = rb"ditkit: cannot read 'caf\xe9': its bytes are not UTF-8; type it in a UTF-8 terminal, or rename the file" + b"\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", line)
    assert list(tmp_path.iterdir()) == []
