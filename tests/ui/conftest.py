"""A queue that runs nothing, in a folder of runs of its own, and runs to look at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ditkit.results.folder import FORMAT, VERSION
from ditkit.ui.folders import Served
from ditkit.ui.queue import Queue


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "runs")


@pytest.fixture
def served(queue: Queue) -> Served:
    return Served(queue.root)


@pytest.fixture
def made() -> Callable[..., Path]:
    """Write a run of so many pictures into a folder."""

    def write(folder: Path, pictures: int = 2, **manifest: Any) -> Path:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for index in range(pictures):
            Image.new("RGB", (8, 8)).save(folder / "images" / f"{index:06d}.png")
        content = {"format": FORMAT, "version": VERSION, "request": {"seeds": list(range(pictures)), "model": "m"}, "complete": True}
        (folder / "manifest.json").write_text(json.dumps({**content, **manifest}))
        return folder

    return write
