"""The tables of docs/results.md come out again: the command beside each is run on fewer samples, its numbers compared within their noise.

A row's interval is for the samples that the table had; with fewer it is wider by the root of their ratio.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from ditkit.config.schema import BenchConfig, EvalConfig, Gen3DConfig, ReferenceConfig
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench, gen3d
from ditkit.tasks import eval as evaluation
from ditkit.tasks.shared.boxes import ANYWHERE, REAL
from tests.closeness import near

ROOT = Path(__file__).parent.parent
RESULTS = (ROOT / "ditkit" / "docs" / "results.md").read_text(encoding="utf-8")
SHAPES = ROOT.parent / "shared" / "data" / "shapes"
EMOJI = ROOT.parent / "shared" / "data" / "emoji" / "emoji_rgba64.npz"
SAMPLES = 16
NOISE = 1.5  # in half widths of an interval: two sets of samples, of which one is small


def table(after: str) -> dict[str, list[str]]:
    """The rows of the first table after these words, by their first cell."""
    lines = RESULTS[RESULTS.index(after) :].splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows: dict[str, list[str]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = cells
    return rows


def error_and_half_width(cell: str) -> tuple[float, float]:
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", cell)]
    return (numbers[0], (numbers[2] - numbers[1]) / 2) if len(numbers) == 3 else (numbers[0], numbers[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "samples", "asked", "names"),
    [
        (
            "`dit-emoji`, DDIM, 96 pictures",
            96,
            {"model": "dit-emoji"},
            {
                "l2c, whole runs": "l2c, N:M, on whole runs (the shipped plan)",
                "l2c": "l2c, pairs, as published",
                **{name: name for name in ("every", "random", "top", "bottom", "similarity", "14 evaluations")},
            },
        ),
        (
            "`uvit-emoji`, DPM-Solver-2, 112 pictures",
            112,
            {"model": "uvit-emoji"},
            {"l2c": "l2c, pairs", **{name: name for name in ("every", "random", "similarity", "12 evaluations")}},
        ),
    ],
    ids=["dit-emoji", "uvit-emoji"],
)
def test_caching(after: str, samples: int, asked: dict[str, Any], names: dict[str, str], tmp_path: Path) -> None:
    rows = table(after)
    report = bench.run(BenchConfig(**asked, steps=20, count=SAMPLES, batch=SAMPLES, out=str(tmp_path)), NoProgress())
    scores = {score["name"]: score for score in report.data["scores"]}
    assert names.keys() <= scores.keys()
    for name, row in names.items():
        kept, error = rows[row][0], rows[row][2]
        assert scores[name]["kept"] == near(float(kept), within=0.01), name
        expected, half_width = error_and_half_width(error)
        assert abs(scores[name]["error"] - expected) <= NOISE * half_width * (samples / SAMPLES) ** 0.5, name


@pytest.mark.slow
@pytest.mark.skipif(not SHAPES.is_dir(), reason="needs the test chairs")
def test_clouds(tmp_path: Path) -> None:
    """One of the table's five blocks, of which the interval is Student's: a block's own deviation is about as large."""
    name = "DPM-Solver++, 25 (default)"
    expected, half_width = error_and_half_width(table("five blocks of 115")[name][1])
    asked = Gen3DConfig(classes=["chair"], count=115, batch=23, seed=3000, out=str(tmp_path / "chairs"))
    gen3d.run(asked, NoProgress())
    against = ReferenceConfig(str(SHAPES), ["chair"])
    report = evaluation.run(EvalConfig([str(asked.out)], against, points=1024, resamples=5, out=str(tmp_path / "measured")), NoProgress())
    assert abs(100 * report.data["rows"][0]["values"]["1-NNA"] - expected) <= NOISE * half_width


@pytest.mark.slow
@pytest.mark.skipif(not EMOJI.is_file(), reason="needs the drawings")
def test_grounding(tmp_path: Path) -> None:
    rows = table("the hundred held-out layouts")
    asked = BenchConfig("pixart-emoji", boxes="held-out", count=SAMPLES, rules=["default"], reference=str(EMOJI), out=str(tmp_path))
    scores = {score["name"]: score["success"]["score"] for score in bench.run(asked, NoProgress()).data["scores"]}
    assert list(scores) == ["plain", "default", ANYWHERE, REAL]
    for name, score in scores.items():
        expected, half_width = error_and_half_width(rows[name][3])
        assert abs(100 * score["success"] - expected) <= NOISE * half_width * (100 / SAMPLES) ** 0.5, name
