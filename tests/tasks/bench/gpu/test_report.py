"""The report of a GPU, run where there is none: on small models, by the clock, from the first row to the page."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ditkit.config.schema import BenchConfig
from ditkit.engine.graphs import GraphedNetwork
from ditkit.errors import OutputError, RequestError
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench
from ditkit.tasks.bench import gpu
from ditkit.tasks.bench.gpu import clock, subjects, turns
from ditkit.tasks.bench.gpu.ledger import Measured
from ditkit.tasks.bench.gpu.matrix import COMPILED, EAGER, GRAPHS, Matrix, Row, Sizes
from tests.closeness import near


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tiny: str) -> None:
    """A matrix of a tiny model, in two rounds; nothing is compiled, but all else is done that a compiled network needs."""
    monkeypatch.setattr(gpu, "CPU", _matrix(tiny))
    monkeypatch.setattr(turns, "ROUNDS", 2)
    for module in (gpu, subjects):
        monkeypatch.setattr(module, "EVALUATIONS", 4)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)


def _matrix(*models: str) -> Matrix:
    return Matrix(tuple(Sizes(model, (2,)) for model in models), ("float32",), (EAGER, COMPILED), 32)


def _config(folder: Path, **changes: Any) -> BenchConfig:
    return BenchConfig(model="all", gpu_report=True, out=str(folder), **changes)


def _rows(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "gpu.json").read_text())["rows"]


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_every_row_is_measured_or_says_why_not(tiny: str, tiny_pixart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "CPU", _matrix(tiny, tiny_pixart))
    report = bench.run(_config(tmp_path), NoProgress())
    rows = _rows(tmp_path)
    assert len(rows) == report.facts["rows"] == 2 * 17
    assert all(len(row["seconds"]) == len(row["eager"]) == 2 and min(row["seconds"]) > 0 for row in rows.values() if not row["why"])
    missing = {key: row["why"] for key, row in rows.items() if row["why"]}
    own = {key: why for key, why in missing.items() if "diffusers" not in key and "cache-dit" not in key}
    assert all("tiny-pixart" in key and "a budget of 0.5 cannot be met" in why for key, why in own.items())
    assert "runs no PixArt; compare with it on a DiT" in missing["tiny-pixart, batch 2, float32, diffusers eager, no plan"]
    plain = rows["tiny-dit, batch 2, float32, ditkit eager, no plan"]
    assert plain["equal"] and plain["apart"] == 0 and plain["kept"] == 1 and plain["calls"] > 4 * 20
    assert rows["tiny-dit, batch 2, float32, ditkit compiled, no plan"]["apart"] < 1e-5
    half = rows["tiny-dit, batch 2, float32, ditkit eager, whole forecasts 0.5"]
    assert half["kept"] == 0.5 and half["flops"] == plain["flops"] / 2 and half["calls"] < 0.7 * plain["calls"]
    fewer = rows["tiny-dit, batch 2, float32, ditkit eager, fewer steps 0.5"]
    assert fewer["kept"] == 0.5 and fewer["evaluations"] == 2
    page = (tmp_path / "gpu.html").read_text(encoding="utf-8")
    assert "no GPU is here" in page and "Not measured (diffusers runs no PixArt" in page and "tiny-pixart, batch 2, float32" in page


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_a_killed_report_keeps_what_it_has_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = clock.seconds
    left = [20]

    def interrupted(work: Any, device: torch.device) -> float:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return timed(work, device)

    monkeypatch.setattr(clock, "seconds", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.run(_config(tmp_path), NoProgress())
    first = {key: row for key, row in _rows(tmp_path).items() if len(row["seconds"]) == 2}
    assert first
    monkeypatch.setattr(clock, "seconds", timed)
    bench.run(_config(tmp_path), NoProgress())
    rows = _rows(tmp_path)
    assert len(rows) == 17 and all(rows[key] == row for key, row in first.items())
    assert all(len(row["seconds"]) == 2 or row["why"] for row in rows.values())


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_what_does_not_fit_into_the_minutes_is_not_measured(tmp_path: Path) -> None:
    report = bench.run(_config(tmp_path, minutes=1e-9), NoProgress())
    assert {row["why"] for row in _rows(tmp_path).values()} == {"no time was left"} and report.facts["not measured"] == 17
    assert report.notes[-1] == "not measured: 17 rows: no time was left"


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_a_row_that_fails_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(GraphedNetwork, "__call__", lacking)
    bench.run(_config(tmp_path), NoProgress())
    why = {row["why"] for key, row in _rows(tmp_path).items() if "ditkit compiled" in key}
    assert why == {"out of memory"} and all(row["seconds"] for key, row in _rows(tmp_path).items() if "ditkit eager" in key)


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_what_cannot_be_recorded_is_not_measured_as_if_it_were(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "CPU", Matrix((Sizes(tiny, (2,)),), ("float32",), (GRAPHS,), 32))
    monkeypatch.setattr(gpu, "rows", lambda case, modes: [Row(case), Row(case, mode=GRAPHS)])
    bench.run(_config(tmp_path), NoProgress())
    eager, recorded = (_rows(tmp_path)[f"{tiny}, batch 2, float32, ditkit {mode}, no plan"] for mode in (EAGER, GRAPHS))
    assert len(eager["seconds"]) == 2 and not recorded["seconds"]
    assert recorded["why"].startswith("UserWarning: no CUDA graph is recorded: batches of 2 are launched one by one")


@pytest.mark.parametrize("tiny", ["tiny-dit"], indirect=True)
def test_a_folder_of_another_machines_report_and_weights_of_no_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_text(json.dumps({"format": "ditkit-gpu-report", "device": "another", "rows": {}, "ceilings": {}}))
    with pytest.raises(OutputError, match=r"measured with another device, matrix, versions; choose another folder with --out"):
        bench.run(_config(tmp_path), NoProgress())
    with pytest.raises(RequestError, match="--weights belong to one model"):
        bench.run(_config(tmp_path / "b", weights="a.safetensors"), NoProgress())


def test_ratios_are_medians_over_rounds_that_go_together() -> None:
    measured = Measured([1.0, 2.0, 4.0], eager=[2.0, 6.0, 4.0], whole=[2.0, 4.0, 16.0], flops=10**12, kept=0.5)
    assert (measured.speedup, measured.realised, measured.tflops) == (2.0, 1.0, 0.5)
    assert Measured([1.0], eager=[1.0], whole=[1.0]).realised is None and Measured().speedup is None
    assert near(0.5) == Measured([1.5], eager=[2.0], whole=[2.0], kept=0.5).realised
