"""Everything the README says to type works as written."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ditkit.cli.app import app
from ditkit.config.schema import COMMANDS as CONFIGURED
from tests.pipelines.tiny import tiny

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """What the `console` blocks show: commands for files and machines that a test has not."""
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.slow
def test_the_sampling_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks("bash")).splitlines():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}"
    first, again = (sorted((tmp_path / "runs" / name / "images").iterdir()) for name in ("foxes", "foxes-again"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]


class Worded:
    """A tiny pipeline that is asked in words, of which it minds the length."""

    def __init__(self) -> None:
        self._pipe = tiny("DiT")[0]
        self.transformer, self.scheduler = self._pipe.transformer, self._pipe.scheduler

    def __call__(self, prompt: str, num_inference_steps: int, generator: Any = None) -> Any:
        return self._pipe([len(prompt)], generator=generator, num_inference_steps=num_inference_steps)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::diffusers")
def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"pipe": Worded(), "prompts": ["a cat", "a rabbit", "two foxes"]}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "fox.png").exists()
    assert names["image"].size == (8, 8) and names["plan"].model == "Worded" and (tmp_path / "flux-28.json").exists()


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_for_other_machines_are_understood(words: list[str]) -> None:
    words = words[words.index("ditkit") + 1 :]
    if words[0] in CONFIGURED:
        words += ["--cfg"]
    else:
        words = [words[0], "--help"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output


def test_the_two_commands_for_a_newcomer_are_there() -> None:
    assert "make demo " in README and "make test " in README
