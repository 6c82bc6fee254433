"""Two processes in one folder, and one that is killed: nothing is lost, nothing is mixed up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUTER = "train-router weights=random samples=2 steps=100000 evaluations=4 --out router"
GROUND = "ground weights=random --count 3 --batch 1 --steps 2 rules.name=plain --out pictures"


def start(words: str, cwd: Path) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ditkit", *words.split()]
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def until(process: "subprocess.Popen[str]", folder: Path, pattern: str) -> None:
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.mark.slow
def test_a_router_is_trained_by_one_process_at_a_time_and_can_be_stopped(tmp_path: Path) -> None:
    first = start(ROUTER, tmp_path)
    until(first, tmp_path, "router/log.jsonl")
    for words in (ROUTER, "sample weights=random --count 1 --steps 1 --out router"):
        second = start(words, tmp_path)
        said = second.communicate()[1].splitlines()[-1]
        assert (second.returncode, said.startswith("ditkit: router ")) == (2, True)
        assert "is in use by another process" in said or "holds a training" in said or "was trained" in said
    first.send_signal(signal.SIGTERM)
    said = first.communicate()[1].splitlines()[-1]
    assert first.returncode == 143 and said.startswith("ditkit: terminated: ")
    assert said.endswith(" of 100000 steps are done and saved; the same command goes on from there")
    assert (tmp_path / "router" / "state.pt").exists() and not (tmp_path / "router" / "plan.json").exists()


@pytest.mark.slow
def test_grounding_that_is_killed_goes_on_to_the_same_pictures(tmp_path: Path) -> None:
    killed = start(GROUND, tmp_path)
    until(killed, tmp_path, "pictures/images/*.png")
    killed.kill()
    killed.communicate()
    for words in (GROUND, GROUND.replace("pictures", "whole")):
        process = start(words, tmp_path)
        assert process.communicate()[1] is not None and process.returncode == 0
    assert _pictures(tmp_path / "pictures") == _pictures(tmp_path / "whole")
    assert not list((tmp_path / "pictures").rglob(".*"))


def _pictures(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.png")}
