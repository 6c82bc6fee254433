"""Whole commands on a device: a run repeated to the bit, the report of a GPU in small, training that neither waits nor loses a bit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ditkit.config.schema import DataConfig, EveryCache, RuntimeConfig, SampleConfig, TrainConfig
from ditkit.config.schema.bench import BenchConfig
from ditkit.engine.distributed import World
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench, sample, train
from ditkit.tasks.bench import gpu
from ditkit.tasks.bench.gpu import subjects, turns
from ditkit.tasks.bench.gpu.matrix import BOTH, COMPILED, EAGER, GRAPHS, Matrix, Sizes
from ditkit.tasks.train.recipes import recipe_of
from ditkit.training import trainer

MODES: Any = torch.utils.deterministic

pytestmark = [pytest.mark.cuda, pytest.mark.filterwarnings("default")]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Training asks the device for one order of sums, and nothing asks it to change back."""
    yield
    torch.use_deterministic_algorithms(False)
    MODES.fill_uninitialized_memory = True


def _pictures(folder: str | None) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((Path(str(folder)) / "images").iterdir())}


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("tiny", ["tiny-dit", "tiny-uvit"], indirect=True)
def test_a_run_is_repeated_to_the_bit_on_the_same_device(tiny: str, weights: str, tmp_path: Path, precision: str, graphs: bool) -> None:
    runtime = RuntimeConfig(device="cuda", precision=precision, graphs=graphs)
    out = str(tmp_path / "run")
    first = SampleConfig(model=tiny, weights=weights, count=6, batch=2, cache=EveryCache(period=2), runtime=runtime, out=out)
    sample.run(first, NoProgress())
    sample.run(SampleConfig(source=out, out=str(tmp_path / "again")), NoProgress())
    assert _pictures(str(tmp_path / "again")) == _pictures(out)
    (Path(out) / "images" / "000000.png").unlink()  # of a batch that is now launched, where it was replayed, or the other way round
    (Path(out) / "images" / "000005.png").unlink()
    sample.run(first, NoProgress())
    assert _pictures(out) == _pictures(str(tmp_path / "again"))


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_the_report_measures_every_mode(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "GPU", Matrix((Sizes(tiny, (2,)),), ("bfloat16",), (EAGER, GRAPHS, BOTH, COMPILED), 256))
    monkeypatch.setattr(turns, "ROUNDS", 2)
    monkeypatch.setattr(turns, "COMPILING", 1.0)
    for module in (gpu, subjects):
        monkeypatch.setattr(module, "EVALUATIONS", 4)
    runtime = RuntimeConfig(device="cuda")
    bench.run(BenchConfig(model="all", gpu_report=True, minutes=5.0, runtime=runtime, out=str(tmp_path)), NoProgress())
    rows: dict[str, Any] = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    ours = {key: row for key, row in rows.items() if "ditkit" in key}
    assert {key: row["why"] for key, row in ours.items() if row["why"]} == {}
    assert all(len(row["seconds"]) == 2 and min(row["seconds"]) > 0 and row["peak_bytes"] > 0 for row in ours.values())
    plain = {mode: rows[f"{tiny}, batch 2, bfloat16, ditkit {mode}, no plan"] for mode in (EAGER, GRAPHS, BOTH, COMPILED)}
    assert plain[GRAPHS]["equal"] and plain[GRAPHS]["calls"] < plain[EAGER]["calls"] / 4
    assert all(row["kernels"] > 0 for row in plain.values()) and (tmp_path / "gpu.html").exists()


def _config(model: str, data: Path, out: Path, **changes: Any) -> TrainConfig:
    runtime = RuntimeConfig(device="cuda", precision="bfloat16", compile=changes.pop("compiles", False))
    return TrainConfig(model=model, steps=6, batch=4, data=DataConfig(path=str(data), augment=1), out=str(out), runtime=runtime, **changes)


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_training_in_pieces_ends_with_the_bits_of_training_at_once(tiny: str, sprite_sheet: Path, tmp_path: Path, compiles: bool) -> None:
    torch.compiler.reset()
    train.run(_config(tiny, sprite_sheet, tmp_path / "whole", compiles=compiles), NoProgress())
    for _ in range(6):
        train.run(_config(tiny, sprite_sheet, tmp_path / "pieces", compiles=compiles, minutes=1e-9), NoProgress())
    whole, pieces = (torch.load(tmp_path / name / "state.pt", weights_only=True, map_location="cpu") for name in ("whole", "pieces"))
    assert whole["step"] == pieces["step"] == 6
    assert all(torch.equal(value, pieces["ema"][name]) for name, value in whole["ema"].items())


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_a_training_step_does_not_wait_for_the_device(tiny: str, sprite_sheet: Path, tmp_path: Path) -> None:
    config = _config(tiny, sprite_sheet, tmp_path)
    where = train.prepared(config)
    task: Any = recipe_of(config, tmp_path, where, World(), NoProgress()).task
    assert task.examples.values.is_cuda  # so few latents lie on the device
    steps = trainer.train(task, train.settings_of(config), tmp_path)
    next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    steps.close()
