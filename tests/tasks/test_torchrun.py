"""Two processes make the bits that one makes, or learn what one learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from ditkit.files.tensors import read_tensors
from ditkit.models import checkpoints, registry
from ditkit.models.pixart import PixArt, PixArtParams
from tests.closeness import assert_close, evaluated
from tests.models.tiny import drawn
from tests.text.tiny import write_encoder

ROOT = Path(__file__).parent.parent.parent


def run(*words: str, cwd: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _random_weights(path: Path) -> None:
    spec = registry.find("dit-emoji")
    torch.manual_seed(0)
    state = {
        name: torch.randn_like(value) * 0.05 if name != "pos_embed" else value for name, value in registry.build(spec).state_dict().items()
    }
    checkpoints.save(state, path, model=spec.name, params=spec.params)


def test_two_processes_write_byte_identical_pictures(tmp_path: Path) -> None:
    _random_weights(tmp_path / "w.safetensors")
    sample = ("-m", "ditkit", "sample", "--weights", "w.safetensors", "--count", "5", "--batch", "2", "--steps", "2", "--out")
    run(*sample, "one", cwd=tmp_path)
    run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *sample, "two", cwd=tmp_path)
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).rglob("*.png")} for name in ("one", "two"))
    assert len(one) == 6 and one == two
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["timing"]["images"] == 5  # of both processes


def test_two_processes_learn_the_router_that_one_learns(tmp_path: Path) -> None:
    _random_weights(tmp_path / "w.safetensors")
    words = ["--weights", "w.safetensors", "--evaluations", "4", "--steps", "3", "--batch", "4", "samples=4", "decay=0", "guidance=1"]
    learn = ("-m", "ditkit", "train-router", "dit-emoji", *words, "--out")
    run(*learn, "one", cwd=tmp_path)
    run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *learn, "two", cwd=tmp_path)
    one, two = (read_tensors(tmp_path / name / "router.safetensors")["logits"] for name in ("one", "two"))
    assert one.abs().max() > 0.05  # three updates of 0.05
    assert_close(two, one, evaluated(registry.build(registry.find("dit-emoji")), 2 * 3))  # there and back


PROMPTED = """
import sys
from ditkit.cli.app import main
from ditkit.models import registry
from ditkit.models.pixart import PixArtParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.text.encoder import ENCODERS
from tests.text.tiny import SPEC
from tests.closeness import assert_close

params = PixArtParams(width=24, depth=2, heads=2, patch=16, input_size=256, channels=3, caption_width=16)
registry.SPECS["tiny"] = ModelSpec("tiny", "pixart", params, "linear", "pixels", 256, 6, Defaults("ddim", 2, 4.5), text="t5-tiny")
ENCODERS["t5-tiny"] = SPEC
main()
"""


def test_two_processes_draw_prompts_that_one_of_them_has_read(tmp_path: Path) -> None:
    write_encoder(tmp_path / "t5")
    (tmp_path / "prompted.py").write_text(PROMPTED)
    params = PixArtParams(width=24, depth=2, heads=2, patch=16, input_size=256, channels=3, caption_width=16)
    checkpoints.save(drawn(PixArt(params)).state_dict(), tmp_path / "w.safetensors", model="tiny", params=params)
    said = ("--prompt", "a dog", "--prompt", "the sun", "--count", "2", "--batch", "2")
    sample = ("prompted.py", "sample", "--model", "tiny", "--weights", "w.safetensors", *said, "text.path=t5", "--out")
    run(*sample, "one", cwd=tmp_path)
    run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *sample, "two", cwd=tmp_path)
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).rglob("*.png")} for name in ("one", "two"))
    assert len(one) == 5 and one == two
