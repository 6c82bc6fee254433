"""Two processes that are killed and started again end with the asked set: nothing lost, nothing twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tasks.test_torchrun import ROOT, run

COUNT = 12
SAMPLE = ("sample", "weights=random", "--count", str(COUNT), "--batch", "2", "--steps", "8", "--out")
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ditkit")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_two_killed_processes_end_with_the_asked_set(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen([sys.executable, *TWO, *SAMPLE, "two"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    images = tmp_path / "two" / "images"
    while not list(images.glob("0*.png")):
        assert started.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    workers = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    for process in (started.pid, *map(int, workers)):  # torchrun first, so that it does not end the others gently
        os.kill(process, signal.SIGKILL)
    started.wait()
    assert len(workers) == 2
    there = {file.name: file.stat().st_mtime_ns for file in images.glob("0*.png")}
    assert 0 < len(there) < COUNT and not json.loads((tmp_path / "two" / "manifest.json").read_text())["complete"]

    run(*TWO, *SAMPLE, "two", cwd=tmp_path)
    run("-m", "ditkit", *SAMPLE, "one", cwd=tmp_path)
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name / "images").iterdir()} for name in ("one", "two"))
    assert sorted(two) == [f"{index:06d}.png" for index in range(COUNT)] and one == two
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["complete"] and [image["seed"] for image in manifest["images"]] == list(range(COUNT))
