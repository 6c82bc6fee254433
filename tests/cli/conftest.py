"""A command line to type at, with tasks that only remember what they were asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import ditkit.tasks
from ditkit.cli.app import app
from ditkit.results.report import Report

REPORT = Report("dit-emoji", facts={"images": 2, "reused": "50.0%"}, files=[Path("runs/x/grid.png")], data={"seconds": 0.5})


@dataclass
class Asked:
    """The arguments of every task that ran, by its name."""

    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def task(self, name: str) -> Callable[..., Report]:
        def run(*arguments: Any, **named: Any) -> Report:
            self.calls.append((name, (*arguments, *named.values())))
            return REPORT

        return run


@pytest.fixture
def asked(monkeypatch) -> Asked:
    asked = Asked()
    tasks = {
        "sample": ["run", "estimate"],
        "gen3d": ["run", "estimate"],
        "ground": ["run", "estimate"],
        "bench": ["run", "run_training"],
        "eval": ["run"],
        "train": ["run"],
        "train_router": ["run"],
        "models": ["listing", "describe", "convert"],
        "plan": ["show", "import_plan", "diff"],
    }
    for command, functions in tasks.items():
        fake = SimpleNamespace(**{name: asked.task(f"{command}.{name}") for name in functions})
        monkeypatch.setattr(ditkit.tasks, command, fake, raising=False)
    return asked


@pytest.fixture
def ditkit_command(asked: Asked) -> Callable[..., Result]:
    """Run `ditkit WORDS...`."""
    return lambda *words: CliRunner().invoke(app, list(words), prog_name="ditkit")
