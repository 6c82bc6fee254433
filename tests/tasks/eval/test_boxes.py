"""Runs that were asked for boxes, or with a benchmark's prompts: the table, what is paired with what, and what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ditkit.config.schema import EvalConfig, ReferenceConfig, RuntimeConfig
from ditkit.data.box_prompts import Box
from ditkit.errors import DataError, OutputError, RequestError
from ditkit.grounding.layout import Layout
from ditkit.grounding.layout_file import as_data, layout_of
from ditkit.metrics.detections import Detection
from ditkit.metrics.grounding import Verdict, squared_crop
from ditkit.results.folder import RunFolder
from ditkit.results.progress import NoProgress
from ditkit.results.report import Report
from ditkit.tasks import eval as task
from ditkit.tasks.eval import benchmark, boxes
from tests.closeness import near

SIDE = 32
TWO = layout_of("a cat and a dog", ["cat: 0,0,0.5,1", "dog: 0.5,0,1,1"])
ONE = layout_of("a cat", ["cat: 0,0,0.5,0.5"])


class WhiteIsThere:
    """A judge to whom whatever is white is what was asked for."""

    def judge(self, picture_3HW: Tensor, labels: Sequence[str], boxes: Sequence[Box]) -> list[Verdict]:
        shares = [float((squared_crop(picture_3HW, box) > 0).float().mean()) for box in boxes]
        return [Verdict(share > 0.5, share) for share in shares]


class CatLeftOfDog:
    """A detector that sees the same everywhere."""

    def __init__(self, folder: str, device: torch.device, least: float) -> None:
        assert device.type == "cpu" and least == 0.5

    def detect(self, picture_3HW: Tensor, names: Sequence[str]) -> list[Detection]:
        return [Detection("cat", 0.9, (0.1, 0.4, 0.3, 0.6)), Detection("dog", 0.9, (0.6, 0.4, 0.9, 0.6))]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(boxes, "judge_of", lambda detector, device: WhiteIsThere())
    monkeypatch.setattr(benchmark, "ZeroShotDetector", CatLeftOfDog)


def a_run(name: str, layouts: Sequence[Layout] = (TWO, ONE), white: Sequence[Box] = (), **more: Any) -> str:
    """A run of one picture for each layout, black but for white boxes."""
    folder = Path(name)
    (folder / "images").mkdir(parents=True)
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    for left, top, right, bottom in white:
        canvas[int(top * SIDE) : int(bottom * SIDE), int(left * SIDE) : int(right * SIDE)] = 255
    images = []
    for index, layout in enumerate(layouts):
        Image.fromarray(canvas).save(folder / "images" / f"{index}.png")
        images.append({"file": f"images/{index}.png", "label": index, "seed": 0, "prompt": layout.prompt})
    request = {"model": "pixart-emoji", "layouts": [as_data(layout) for layout in layouts], "rules": {"pulls": 3}, "plan": None}
    manifest = {"command": "ground", "complete": True, "request": request, "images": images} | more
    RunFolder(folder).write_manifest(manifest)
    return name


def measured(*targets: str, **values: Any) -> Report:
    return task.run(replace(EvalConfig(list(targets), resamples=20, runtime=RuntimeConfig(device="cpu")), **values), NoProgress())


def test_success_overlap_and_the_paired_ratio_to_the_first_run() -> None:
    plain, full = a_run("plain", white=[(0, 0, 0.5, 1)]), a_run("full", white=[(0, 0, 1, 1)])
    report = measured(plain, full)
    assert list(report.columns) == ["", "pictures", "boxes", "success %", "mean IoU", "times plain"]
    first, second = report.data["rows"]
    assert first["values"]["success"] == near(2 / 3) and second["values"] == {"success": 1.0, "mean IoU": 1.0}
    assert second["times the first"]["ratio"] == 1.5 and second["rules"] == {"pulls": 3}
    assert report.rows[0][-1] is None and str(report.rows[1][-1]).startswith("1.50 [")
    assert {"metrics.json", "report.html", "pareto.png"} >= {Path(file).name for file in report.files} >= {"metrics.json", "report.html"}


def test_runs_of_other_boxes_are_not_paired() -> None:
    report = measured(a_run("two"), a_run("ones", layouts=(ONE, ONE)))
    assert report.rows[1][-1] is None and report.data["rows"][1]["times the first"] is None


def test_real_drawings_in_the_boxes_are_the_ceiling(tmp_path: Path) -> None:
    sheet = np.full((2, 64, 64, 4), 255, np.uint8)
    sprites = {"images": sheet, "labels": np.array([0, 1]), "class_names": np.array(["cat", "dog"])}
    np.savez(tmp_path / "sprites.npz", **sprites, sets=np.array([0, 0]), set_names=np.array(["drawn"]))
    report = measured(a_run("half", white=[(0, 0, 0.5, 1)]), real=True, data=ReferenceConfig(str(tmp_path / "sprites.npz")))
    assert [row[0] for row in report.rows] == ["half", "sprites in the boxes"]
    assert report.data["rows"][1]["values"]["success"] == 1.0
    assert [row[-1] for row in report.rows] == ["67", "100"]
    with pytest.raises(DataError, match="^--real puts real drawings into the boxes: say which with --data SPRITES.npz$"):
        measured("half", real=True)


def test_a_benchmark_is_judged_by_its_rules(tmp_path: Path) -> None:
    def line(relation: str) -> str:
        meta = {"obj1": "cat", "obj2": "dog", "rel1": relation}
        return json.dumps({"id": relation, "prompt": f"a cat {relation} a dog", "category": "spatial", "meta": meta})

    (tmp_path / "hrs.jsonl").write_text("\n".join(map(line, ("left", "right", "above"))))
    asked = [Layout("a cat left a dog"), Layout("a cat right a dog"), Layout("something else")]
    report = measured(a_run("run", asked), prompts=str(tmp_path / "hrs.jsonl"), detector="owl")
    assert list(report.columns) == ["", "skill", "judged", "right, %", "2 objects"]
    assert report.rows[0][:3] == ["run", "spatial", 2] and str(report.rows[0][3]).startswith("50.0 [")
    with pytest.raises(DataError, match="^no picture of other was asked for with a prompt of .*hrs.jsonl for which there is a rule$"):
        measured(a_run("other"), prompts=str(tmp_path / "hrs.jsonl"), detector="owl")
    with pytest.raises(RequestError, match="^--real puts drawings into boxes, and a benchmark's rules look at none"):
        measured("run", prompts=str(tmp_path / "hrs.jsonl"), detector="owl", real=True)


def test_a_prompt_of_a_benchmark_that_has_no_relation_is_named_with_its_line(tmp_path: Path) -> None:
    line = {"prompt": "a cat and a dog", "category": "spatial"}
    (tmp_path / "drawbench.jsonl").write_text(json.dumps(line))
    with pytest.raises(DataError, match=r"drawbench\.jsonl, line 1 cannot be judged: it has 0 relations for 0 objects"):
        measured(a_run("run"), prompts=str(tmp_path / "drawbench.jsonl"), detector="owl")


def test_what_cannot_be_measured_says_why() -> None:
    with pytest.raises(OutputError, match="^torn is a run that is not finished; repeat its command"):
        measured(a_run("torn", complete=False))
    images = [{"file": "images/0.png", "label": 0, "seed": 0, "class": "cat"}]
    with pytest.raises(DataError, match="^classes is a run whose pictures were not asked for in words"):
        measured(a_run("classes", images=images))
    with pytest.raises(DataError, match="^prompted was not asked for boxes; measure runs of ditkit ground"):
        measured(a_run("run"), a_run("prompted", request={"model": "pixart-emoji"}))
    with pytest.raises(DataError, match="^a folder is no run folder; only a run says what was asked"):
        measured("run", "a folder")


def test_pictures_are_read_as_they_were_saved() -> None:
    pictures = boxes.read_pictures(a_run("run", white=[(0, 0, 0.5, 1)]))
    assert pictures.picture(0).shape == (3, SIDE, SIDE) and pictures.prompts == ["a cat and a dog", "a cat"]
    assert torch.equal(pictures.picture(0)[:, :, : SIDE // 2], torch.ones(3, SIDE, SIDE // 2))
