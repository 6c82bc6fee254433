"""What a comparison of rules says is what grounding does, and what each costs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from ditkit.config.schema import BenchConfig, GroundConfig, RulesConfig, TextConfig
from ditkit.data.box_prompts import Box
from ditkit.errors import DataError, RequestError, UnknownName
from ditkit.metrics.grounding import Verdict
from ditkit.results.progress import NoProgress
from ditkit.results.report import Report
from ditkit.tasks import bench, ground
from ditkit.tasks.bench import boxes
from ditkit.tasks.shared.boxes import ANYWHERE, REAL

CATS = {"text": "cats", "boxes": [[0.5, 0.5, 0.75, 1], [0.75, 0.5, 1, 1]]}
ONE = {"text": "hot dog", "boxes": [[0.05, 0.1, 0.45, 0.9]]}
LAYOUTS: list[dict[str, Any]] = [{"prompt": "a hot dog", "phrases": [ONE]}, {"prompt": "two cats", "phrases": [CATS]}]


class Brightness:
    """To whom what is brighter than grey is there."""

    def check(self, labels: Sequence[str]) -> None: ...

    def judge(self, picture_3HW: Tensor, labels: Sequence[str], boxes: Sequence[Box]) -> list[Verdict]:
        return [Verdict(bool(picture_3HW.mean() > 0), 0.25) for _ in boxes]


@pytest.fixture
def config(tiny_pixart: str, pixart_weights: str, t5: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BenchConfig:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(LAYOUTS))
    given: dict[str, Any] = {"model": tiny_pixart, "weights": pixart_weights, "text": TextConfig(path=t5)}
    return BenchConfig(**given, boxes=str(boxes), steps=2, rules=["default", "pull"], out=str(tmp_path / "bench"))


def measured(config: BenchConfig, **changed: Any) -> Report:
    for name, value in changed.items():
        setattr(config, name, value)
    return bench.run(config, NoProgress())


def test_every_set_of_rules_is_compared_with_plain_sampling(config: BenchConfig) -> None:
    report = measured(config)
    scores = {score["name"]: score for score in report.data["scores"]}
    assert list(scores) == ["plain", "default", "pull"]
    assert scores["plain"]["cost"] == scores["plain"]["multiply_adds"] == 1
    assert 1 < scores["pull"]["multiply_adds"] < scores["default"]["multiply_adds"]
    assert report.columns == ["", "s/image", "multiply-adds", "cost", "2 boxes"]  # the first picture is not timed
    assert report.facts["judge"] == "none: cost only" and report.facts["boxes"] == 3
    assert {Path(file).name for file in report.files} == {"bench.json", "report.html"}
    written = json.loads((Path(config.out) / "bench.json").read_text())
    assert "boxes=" in written["command"] and '"rules=[default,pull]"' in written["command"]


def test_pictures_are_those_of_ditkit_ground(config: BenchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    class Watching(Brightness):
        def judge(self, picture_3HW: Tensor, labels: Sequence[str], boxes: Sequence[Box]) -> list[Verdict]:
            seen.append(picture_3HW)
            return super().judge(picture_3HW, labels, boxes)

    monkeypatch.setattr(boxes, "judge_of", lambda detector, device: Watching())
    report = measured(config, detector="owl", count=4, rules=["fast"])
    assert [column for column in report.columns if "plain" in column] == ["times plain"]
    assert {Path(file).name for file in report.files} == {"bench.json", "pareto.png", "report.html"}
    asked = GroundConfig(model=config.model, weights=config.weights, text=config.text, boxes=config.boxes, steps=2, count=4, batch=1)
    asked.out, asked.rules = str(tmp_path / "ground"), RulesConfig("fast")
    kept: dict[int, Tensor] = {}
    monkeypatch.setattr(ground.GroundedPictures, "save", lambda self, config, folder, index, sample: kept.update({index: sample}))
    monkeypatch.setattr(ground.GroundedPictures, "finish", lambda *given: ([], []))
    ground.run(asked, NoProgress())
    for mine, its in zip((4, 5, 6, 7), (0, 5, 2, 7), strict=True):  # layouts in turns here, each with a seed; there all seeds of each
        assert seen[mine].equal(kept[its])


def test_real_drawings_anywhere_and_in_the_boxes_say_what_can_be_expected(config: BenchConfig, tmp_path: Path, monkeypatch: Any) -> None:
    """Black drawings, which lie in the middle of their boxes, or somewhere on white."""
    seen: list[Tensor] = []

    class Watching(Brightness):
        def judge(self, picture_3HW: Tensor, labels: Sequence[str], boxes: Sequence[Box]) -> list[Verdict]:
            seen.append(picture_3HW)
            return super().judge(picture_3HW, labels, boxes)

    black = np.zeros((2, 64, 64, 4), np.uint8)
    black[..., 3] = 255
    names: dict[str, Any] = {"set_names": np.array(["flat"]), "class_names": np.array(["hot dog", "cat"])}
    np.savez(tmp_path / "black.npz", images=black, labels=np.arange(2), sets=np.zeros(2, int), **names)
    monkeypatch.setattr(boxes, "judge_of", lambda detector, device: Watching())
    report = measured(config, detector="owl", rules=["pull"], reference=str(tmp_path / "black.npz"))
    assert [row[0] for row in report.rows] == ["plain", "pull", ANYWHERE, REAL]
    anywhere, put = seen[4:6], seen[6:8]
    height, width = put[1].shape[1:]
    for across in (0.625, 0.875):  # the middles of its boxes
        assert (put[1][:, int(0.75 * height), int(across * width)] == -1).all()
    for picture in anywhere:
        assert (picture == -1).any() and picture.max() == 1  # on white


def test_what_cannot_be_compared_says_why(config: BenchConfig) -> None:
    with pytest.raises(RequestError, match="^a comparison needs at least 2 pictures: give more layouts, or --count 2 or more$"):
        measured(config, count=1)
    with pytest.raises(RequestError, match="^drawings of sprites.npz are put into boxes for a judge; say which with detector=FOLDER$"):
        measured(config, reference="sprites.npz")
    with pytest.raises(DataError, match="^no data at sprites.npz: give an .npz sprite sheet$"):
        measured(config, reference="sprites.npz", detector="judge")
    Path(str(config.boxes)).write_text(json.dumps([LAYOUTS[0], {"prompt": "a cat", "phrases": [{**ONE, "text": "a"}]}]))
    with pytest.raises(DataError, match="^no class is known that 'a' ends with"):
        measured(config, reference=None, detector="judge", count=2)
    with pytest.raises(RequestError, match="^dit-emoji cannot be grounded, which takes a PixArt, as pixart-emoji$"):
        measured(BenchConfig(boxes="held-out"))
    with pytest.raises(UnknownName, match="^no set of rules named 'fats'; did you mean 'fast'\\?$"):
        BenchConfig(rules=["fats"])
