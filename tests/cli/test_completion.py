"""Names that the shell completes."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from ditkit.cli import completion


def _typed(**params: str) -> Any:
    return SimpleNamespace(params=params)


def test_models_and_solvers_are_completed():
    assert "dit-xl-2-256" in completion.models("dit-xl")
    assert completion.solvers("dd") == ["ddim", "ddpm"]


def test_presets_are_completed_once_beside_the_models():
    names = completion.recipes("")
    assert {"judge", "dit-emoji", "dit-b-4-256"} <= set(names) and len(names) == len(set(names))


def test_classes_are_those_of_the_model_asked_for():
    assert "cat" in completion.classes(_typed(), "ca")
    assert completion.classes(_typed(model="uvit-cifar10-s-2"), "ca") == []
    assert completion.classes(_typed(model="no-such-model"), "ca") == []


def test_a_shell_is_answered():
    asks = {"_DITKIT_COMPLETE": "complete_bash", "COMP_WORDS": "ditkit sample --solver dp", "COMP_CWORD": "3"}
    command = [sys.executable, "-c", "from ditkit.cli.app import main; main()"]
    answer = subprocess.run(command, env={**os.environ, **asks}, capture_output=True, text=True)
    assert answer.stdout.split() == ["dpm-solver++", "dpm-solver-2"]
