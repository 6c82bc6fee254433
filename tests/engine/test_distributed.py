"""Processes that part as they end leave nothing running behind the interpreter's back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LAST = """
import atexit
from pathlib import Path

def left() -> None:
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    Path(os.environ["RANK"]).write_text(" ".join(name for name in names if "gloo" in name))

atexit.register(left)  # called last, for what is registered later is called earlier
import os, torch
from ditkit.engine.distributed import join_world, sum_gradients
world = join_world(torch.device("cpu"))
import torch._dynamo  # as torch.compile and some optimisers do, once the processes have joined
weight = torch.nn.Parameter(torch.ones(2))
weight.grad = torch.ones(2)
sum_gradients([weight], world)
assert weight.grad.tolist() == [2.0, 2.0]
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed by Linux alone")
def test_no_thread_of_gloo_outlives_the_interpreter(tmp_path: Path) -> None:
    (tmp_path / "last.py").write_text(LAST)
    words = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "last.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["", ""]
