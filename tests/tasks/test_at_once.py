"""Two processes in one folder, and one that is killed: nothing is lost, nothing is mixed up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ditkit.config.schema import BenchConfig, EvalConfig, ReferenceConfig, TrainRouterConfig
from ditkit.errors import OutputError
from ditkit.files.in_use import in_use
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench, train_router
from ditkit.tasks import eval as evaluation
from ditkit.tasks.eval.report import folder_of

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


@pytest.mark.slow
def test_an_evaluation_that_is_killed_while_it_samples_goes_on_to_the_same_report(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for index in range(8):
        Image.fromarray(np.full((64, 64, 3), 30 * index, np.uint8)).save(tmp_path / "real" / f"{index}.png")
    words = "eval --generate model=dit-emoji weights=random count=6 batch=1 steps=2 out=made --data real resamples=2 --out report"
    killed = start(words, tmp_path)
    until(killed, tmp_path, "made/images/*.png")
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "report").exists() and len(list((tmp_path / "made" / "images").glob("0*.png"))) < 6
    for into in ("", "whole-"):
        process = start(words.replace("out=made", f"out={into}made").replace("--out report", f"--out {into}report"), tmp_path)
        said = process.communicate()[1]
        assert process.returncode == 0, said
    assert _pictures(tmp_path / "made") == _pictures(tmp_path / "whole-made")
    resumed, whole = (json.loads((tmp_path / f"{into}report" / "metrics.json").read_text()) for into in ("", "whole-"))
    assert [row["values"] for row in resumed["rows"]] == [row["values"] for row in whole["rows"]]
    assert not list((tmp_path / "made").rglob(".*"))


@pytest.mark.parametrize("task", [bench, evaluation, train_router])
def test_a_report_is_not_written_where_another_process_writes_one(tmp_path: Path, task: Any) -> None:
    """The folder is asked for before anything is measured, and a folder made in vain goes again."""
    (tmp_path / "samples").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "samples" / "0.png")
    given: dict[str, Any] = {"targets": [str(tmp_path / "samples")], "data": ReferenceConfig(path=str(tmp_path / "samples"))}
    out = str(tmp_path / "out")
    configs = {
        bench: BenchConfig(out=out),
        evaluation: EvalConfig(out=out, **given),
        train_router: TrainRouterConfig(forecasts=True, out=out),
    }
    with in_use(tmp_path / "out"), pytest.raises(OutputError) as caught:
        task.run(configs[task], NoProgress())
    assert str(caught.value) == f"{tmp_path / 'out'} is in use by another process; wait for it, or choose another folder with --out"
    assert not (tmp_path / "out").exists()


def test_an_evaluation_that_was_told_no_folder_asks_for_its_own_before_it_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("samples").mkdir()
    Image.new("RGB", (64, 64)).save("samples/0.png")
    config = EvalConfig(targets=["samples"], data=ReferenceConfig(path="samples"))
    with in_use(folder_of(config)), pytest.raises(OutputError, match=r"^runs/eval-\w+ is in use by another process; "):
        evaluation.run(config, NoProgress())


def _pictures(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.png")}
