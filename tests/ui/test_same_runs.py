"""A run that is started on the page is the same run as from the command line, to the bit."""

import shlex
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ditkit.cli.app import app
from ditkit.ui import drawn
from ditkit.ui.asked import Asked, asked
from ditkit.ui.box_runs import wanted
from ditkit.ui.boxes import Boxes
from ditkit.ui.folders import Served
from ditkit.ui.queue import Queue

pytestmark = pytest.mark.slow


def run_here(root: Path, run: Asked) -> Path:
    with Queue(root) as queue:
        queue.add(run)
        while not queue.jobs()[0].is_over:
            time.sleep(0.05)
    assert queue.jobs()[0].state == "done", queue.jobs()[0]
    return run.folder(root)


def pictures(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted((folder / "images").iterdir())]


def test_the_line_that_is_shown_makes_the_same_pictures_in_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = asked("sample", "dit-emoji", {"--class": ["fox", "owl"], "--count": "2", "--steps": "2", "--batch": "1"})
    here = run_here(Path("here"), run)
    result = CliRunner().invoke(app, shlex.split(run.line(Path("there")))[1:])
    assert result.exit_code == 0 and pictures(here) == pictures(run.folder(Path("there")))
    assert "2 of 2 images were there already" in CliRunner().invoke(app, shlex.split(run.line(Path("here")))[1:]).output


def test_the_file_of_the_drawn_layout_makes_the_same_pictures(tmp_path):
    boxes = drawn.added(drawn.added([], [0.051, 0.301, 0.447, 0.951], "fox"), [1 / 2, 0.401, 0.947, 0.899], "apple")
    (run,) = wanted(boxes, "pixart-emoji", "", "72x128", "", "2", "", "5", [])
    here = run_here(tmp_path / "here", run)
    file, _ = Boxes(Queue(tmp_path), Served(tmp_path)).save(1, boxes, "", "72x128")
    (tmp_path / "boxes.json").write_text(file["content"])
    words = ["ground", "--boxes", str(tmp_path / "boxes.json"), "--steps", "2", "--seed", "5", "--out", str(tmp_path / "there")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and pictures(here) == pictures(tmp_path / "there"), result.output
