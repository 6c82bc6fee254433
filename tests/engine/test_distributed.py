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


KILLED = """
import os, signal, torch
from ditkit.engine.distributed import World, averaged, barrier, gather, join_world, sum_gradients
from ditkit.errors import ProcessLost
world = join_world(torch.device("cpu"))
barrier(world)
if world.rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
weight = torch.nn.Parameter(torch.ones(2))
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, which may come first
for exchange in (lambda: sum_gradients([weight], world), lambda: averaged({"loss": torch.ones(())}, world),
                 lambda: gather(1, world), lambda: barrier(world)):
    try:
        exchange()
    except ProcessLost as error:
        print(f"said: {error}", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is killed by a signal there")
def test_a_process_whose_other_one_is_gone_says_so_in_every_exchange(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    words = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "killed.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    lost = "another of torchrun's processes is gone, and none goes on alone; the same command goes on from what is saved"
    assert done.stdout.splitlines() == 4 * [f"said: {lost}"], done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed by Linux alone")
def test_no_thread_of_gloo_outlives_the_interpreter(tmp_path: Path) -> None:
    (tmp_path / "last.py").write_text(LAST)
    words = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "last.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["", ""]
