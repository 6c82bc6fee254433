"""The parts of a training step: all of its time, of the step that `ditkit train` takes."""

import json
from pathlib import Path

import pytest

from ditkit.config.schema import DataConfig, TrainConfig
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench
from ditkit.tasks.bench import training


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROUNDS", 3)
    monkeypatch.setattr(training, "CEILING", 64)


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_a_step_is_told_by_its_parts_and_leaves_no_training_behind(tiny: str, sprite_sheet: Path, tmp_path: Path) -> None:
    config = TrainConfig(model=tiny, batch=2, steps=100, data=DataConfig(path=str(sprite_sheet), augment=1), out=str(tmp_path))
    report = bench.run_training(config, NoProgress())
    assert [row[0] for row in report.rows] == ["draw", "forward", "backward", "optimiser", "average"]
    written = json.loads((tmp_path / "step.json").read_text())
    assert all(len(times) == 3 and min(times) > 0 for times in written["seconds"].values()) and written["gflop"] > 0
    assert {path.suffix for path in tmp_path.iterdir()} == {
        ".json",
        ".npy",
        ".npz",
    }  # and those of the encoded pictures
