"""Measuring runs, codecs and the judge itself."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ditkit.config.schema import DataConfig, EvalConfig, ReferenceConfig, SampleConfig, TrainConfig
from ditkit.errors import DataError
from ditkit.files.weights import WeightSource
from ditkit.models import judge
from ditkit.results.progress import NoProgress
from ditkit.results.report import Report
from ditkit.tasks import eval as task
from ditkit.tasks import sample, train
from ditkit.tasks.shared import classes


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # reports without --out are written to runs/


def measured(target: str, data: str | None) -> Report:
    return task.run(EvalConfig([target], ReferenceConfig(data)), NoProgress())


@pytest.fixture
def two_class_judge(sprite_sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(model="judge", steps=1, batch=2, data=DataConfig(path=str(sprite_sheet)), out=str(tmp_path / "judge"))
    (weights,) = train.run(config, NoProgress()).files
    monkeypatch.setattr(judge, "JUDGE", WeightSource(asset=str(weights.resolve())))  # an absolute path stands for itself


@pytest.mark.usefixtures("two_class_judge")
def test_a_run_is_judged_and_compared_with_the_training_pictures(sprite_sheet: Path, tmp_path: Path) -> None:
    run = SampleConfig(weights="random", classes=["0", "1"], count=2, steps=1, out=str(tmp_path / "run"))
    sample.run(run, NoProgress())
    report = measured(str(run.out), str(sprite_sheet))
    values = report.data["rows"][0]["values"]
    assert 0 <= values["judged accuracy"] <= 1 and values["Frechet"] > 0
    assert 0 < values["least distance"] <= values["median distance to the nearest reference picture"] <= 1
    assert [file.name for file in report.files] == ["metrics.json", "report.html"] and report.files[0].parent == Path(str(run.out))
    drawn = np.stack([np.asarray(Image.open(file)) for file in sorted(Path(str(run.out), "images").iterdir())])
    np.savez(tmp_path / "adm.npz", arr_0=drawn[:, :, ::-1])  # not the sheet that the model learned from, and its own mirror images
    values = measured(str(run.out), str(tmp_path / "adm.npz")).data["rows"][0]["values"]
    assert values["median distance to the nearest reference picture"] == 0


@pytest.mark.usefixtures("two_class_judge")
def test_the_judge_and_a_codec_are_measured_on_given_pictures(sprite_sheet: Path) -> None:
    assert measured("judge", str(sprite_sheet)).data["accuracy"] in (0, 0.25, 0.5, 0.75, 1)
    assert measured("ae-emoji", str(sprite_sheet)).data["psnr"] > 5


@pytest.fixture
def a_folder_per_class(tmp_path: Path) -> Path:
    for name in ("Hot_Dog", "apple"):  # in this order, which is not the judge's
        (tmp_path / "classes" / name).mkdir(parents=True)
        Image.new("RGB", (64, 64), "red").save(tmp_path / "classes" / name / "0.png")
    (tmp_path / "classes" / "notes").mkdir()
    return tmp_path / "classes"


def test_folders_are_told_to_the_judge_by_their_names(a_folder_per_class: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    monkeypatch.setattr(task, "judged_accuracy", lambda judge, images, labels: asked.append(labels.tolist()) or 1.0)
    measured("judge", str(a_folder_per_class))
    known = classes.known_classes("emoji")
    assert asked == [[known.index("hot dog"), known.index("apple")]]


def test_a_folder_that_names_no_class_of_the_judge_is_refused(a_folder_per_class: Path) -> None:
    (a_folder_per_class / "apple").rename(a_folder_per_class / "axolotl")
    with pytest.raises(DataError, match="^the judge knows no class 'axolotl'; name classes as it does: apple, banana, "):
        measured("judge", str(a_folder_per_class))


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to measure judge, give pictures it was not trained on: --data"):
        measured("judge", None)
    with pytest.raises(DataError, match="nothing to measure at .*absent: give a run folder, a folder of samples, or an .npz"):
        measured(str(tmp_path / "absent"), None)
