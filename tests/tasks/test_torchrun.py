"""Two processes make the bits that one makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from ditkit.models import checkpoints, registry

ROOT = Path(__file__).parent.parent.parent


def run(*words: str, cwd: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_two_processes_write_byte_identical_pictures(tmp_path: Path) -> None:
    spec = registry.find("dit-emoji")
    torch.manual_seed(0)
    state = {
        name: torch.randn_like(value) * 0.05 if name != "pos_embed" else value for name, value in registry.build(spec).state_dict().items()
    }
    checkpoints.save(state, tmp_path / "w.safetensors", model=spec.name, params=spec.params)
    sample = ("-m", "ditkit", "sample", "--weights", "w.safetensors", "--count", "5", "--batch", "2", "--steps", "2", "--out")
    run(*sample, "one", cwd=tmp_path)
    run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *sample, "two", cwd=tmp_path)
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).rglob("*.png")} for name in ("one", "two"))
    assert len(one) == 6 and one == two
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["timing"]["images"] == 5  # of both processes
