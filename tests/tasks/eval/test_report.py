"""What `ditkit eval` writes: numbers, plots and a page that needs no network."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from ditkit.cache.plan import CachePlan, to_data
from ditkit.config.schema import EvalConfig, ReferenceConfig
from ditkit.execution import Site
from ditkit.results.report import Report
from ditkit.tasks.eval.report import Entry, Measured, written

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def measured(tmp_path: Path) -> Measured:
    pictures = []
    for index in range(3):
        pictures.append(tmp_path / f"{index}.png")
        Image.new("RGB", (64, 64), (60 * index, 0, 0)).save(pictures[-1])
    sites = (Site(0, "attn"), Site(0, "mlp"))
    plan = CachePlan(sites, (9.0, 6.0, 3.0, 0.0), ((True, True), (False, False), (True, True), (True, False)))
    request = {"model": "dit-emoji", "labels": [0, 1, 2], "seeds": [0, 1, 2], "times": [9.0, 6.0, 3.0, 0.0]}
    report = Report("eval a, b", {"seed": 0}, ["", "Frechet"], [["a", "1 [0.5, 1.5]"], ["b", "2 [1, 3]"]], notes=["few samples"])
    entries = [Entry("a", request, pictures, score=1.0), Entry("b", request | {"plan": to_data(plan)}, pictures, score=2.0)]
    return Measured(report, entries, "Frechet distance")


def test_a_plan_costs_less_than_none(tmp_path: Path) -> None:
    without, planned = measured(tmp_path).entries
    assert (without.cost, planned.cost) == (4, 2.5)  # 3 of 8 branches are reused


def test_numbers_plots_and_page_are_written_together(tmp_path: Path) -> None:
    config = EvalConfig(["a", "b"], ReferenceConfig("real images"), out=str(tmp_path / "out"))
    report = written(measured(tmp_path), config)
    assert [file.name for file in report.files] == ["metrics.json", "pareto.png", "plan-1.png", "report.html"]
    record = json.loads(report.files[0].read_text())
    assert record["command"] == f"ditkit eval a b \"data.path='real images'\" out={tmp_path / 'out'}"
    assert record["config"]["targets"] == ["a", "b"] and "torch" in record["versions"]
    page = report.files[-1].read_text()
    for words in ("Scores", "Score against cost", "First samples", "Plan of b", "How it was measured", "The same again", "few samples"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page


def test_a_run_alone_keeps_its_report_beside_its_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    assert {file.parent for file in written(measured(tmp_path), EvalConfig([str(run)])).files} == {run}
    (other,) = {file.parent for file in written(measured(tmp_path), EvalConfig(["a", "b"])).files}
    assert other.parent == Path("runs") and other.name.startswith("eval-")


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium is installed")
def test_a_browser_without_a_network_shows_the_page(tmp_path: Path) -> None:
    page = written(measured(tmp_path), EvalConfig(["a", "b"], out=str(tmp_path / "out"))).files[-1].resolve()
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", page.as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=60, env=os.environ | {"HOME": str(tmp_path)}).stdout
    assert "Score against cost" in shown and shown.count("<img") == 8  # the plot, twice three pictures, the plan
