"""The parts of an evaluation: all of its time, under the names of its branches, for models of every family side by side."""

import json
from pathlib import Path

import pytest

from ditkit.config.schema import BenchConfig
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench
from ditkit.tasks.bench import parts


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROUNDS", 2)
    monkeypatch.setattr(parts, "CEILING", 64)


def test_models_are_timed_side_by_side_by_their_branches(tiny: str, weights: str, tiny3d: str, tmp_path: Path) -> None:
    config = BenchConfig(model=tiny, weights="random", beside=[tiny3d], parts=True, batch=2, out=str(tmp_path))
    report = bench.run(config, NoProgress())
    assert report.columns[7:] == ["attn", "mlp", "rest", "points to voxels and back"]
    assert [row[0] for row in report.rows] == [tiny, tiny3d] and report.rows[0][3] == "1.00"
    written = json.loads((tmp_path / "parts.json").read_text())
    first, second = written["models"]
    assert len(first["whole"]) == len(second["whole"]) == len(second["points"]) == 2 and first["points"] == []
    assert sum(map(min, second["branches"].values())) > 0
    assert "parts=true" in written["command"] and f'"beside=[{tiny3d}]"' in written["command"]


def test_a_model_that_reads_prompts_needs_some(tiny_pixart: str, tmp_path: Path) -> None:
    config = BenchConfig(model=tiny_pixart, weights="random", prompts=["the sun"], parts=True, batch=2, out=str(tmp_path))
    report = bench.run(config, NoProgress())
    assert report.columns[7:] == ["self", "cross", "mlp", "rest"]
