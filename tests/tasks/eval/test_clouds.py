"""Clouds of runs, files and folders against test shapes: rows, blocks, real shapes, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ditkit.config.schema import EvalConfig, Gen3DConfig, ReferenceConfig
from ditkit.errors import DataError, OutputError, RequestError, UnknownName
from ditkit.metrics.cloud_distances import find
from ditkit.metrics.clouds import set_scores
from ditkit.results.progress import NoProgress
from ditkit.shapes.clouds import write_ply
from ditkit.tasks import eval as task
from ditkit.tasks import gen3d
from tests.closeness import near


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # reports without --out are written to runs/


class Counting(NoProgress):
    def __init__(self) -> None:
        self.total = self.done = 0

    def start(self, total: int, label: str, done: int = 0) -> None:
        self.total = total

    def advance(self, n: int = 1, **values: object) -> None:
        self.done += n


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Twelve training and four test chairs, eight and four tables, of 40 points."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "shapes"
    folder.mkdir()
    for name, count in (("chair", 12), ("table", 8)):
        train, test = (rng.uniform(-1, 1, (size, 40, 3)).astype(np.float32) for size in (count, 4))
        np.savez(folder / f"{name}.npz", train_points=train, test_points=test)
    return folder


def config(shapes: Path, *targets: Path | str, **values: object) -> EvalConfig:
    return replace(EvalConfig(list(map(str, targets)), ReferenceConfig(str(shapes)), resamples=20), **values)


def clouds_of(shapes: Path, split: str) -> torch.Tensor:
    with np.load(shapes / "chair.npz") as file:
        return torch.from_numpy(file[f"{split}_points"])


def a_run(out: Path, **values: object) -> Path:
    asked = Gen3DConfig(model="tiny-dit3d", weights="random", classes=["0"], count=4, steps=1, out=str(out))
    gen3d.run(replace(asked, **values), NoProgress())
    return out


@pytest.fixture
def named_chair(tiny3d: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ditkit.tasks.shared.classes.class_names", lambda spec: ("chair", "table", "sofa"))


def test_a_file_is_measured_as_its_clouds_are(shapes: Path) -> None:
    progress = Counting()
    report = task.run(config(shapes, shapes / "chair.npz"), progress)
    (row,) = report.data["rows"]
    expected = set_scores(clouds_of(shapes, "train"), clouds_of(shapes, "test"), find("cd"), resamples=20)
    assert {name: row["values"][name] for name in expected.values} == near(expected.values)
    assert row["intervals"]["1-NNA"] == list(expected.intervals["1-NNA"]) and 0 < row["values"]["JSD"] < 1
    assert progress.done == progress.total > 0
    assert "12 samples for 4 references; 1-NNA means most where both are as many" in report.notes[0]
    assert report.facts["coordinates"] == "as the data has them, nothing is normalised"


@pytest.mark.usefixtures("named_chair")
def test_runs_that_differ_in_their_seeds_are_blocks_of_one_row(shapes: Path, tmp_path: Path) -> None:
    runs = [a_run(tmp_path / f"run{seed}", seed=seed) for seed in (0, 4, 8)]
    other = a_run(tmp_path / "other", steps=2)
    progress = Counting()
    report = task.run(config(shapes, *runs, other, frame="box"), progress)
    together, alone = report.data["rows"]
    assert [row["samples"] for row in report.data["rows"]] == [[4, 4, 4], [4]]
    for name, value in together["values"].items():
        assert value == near(np.mean([block[name] for block in together["blocks"]]))
    assert together["name"] == f"{runs[0]} and 2 more" and alone["name"] == str(other)
    assert progress.done == progress.total
    assert report.rows[0][3] == "3 x 4 : 4"
    assert "Student's t over blocks" in str(report.facts["intervals"])


@pytest.mark.usefixtures("named_chair")
def test_runs_with_a_seed_in_common_are_no_blocks_and_an_unfinished_run_is_not_measured(shapes: Path, tmp_path: Path) -> None:
    runs = [a_run(tmp_path / f"run{seed}", seed=seed) for seed in (0, 3)]
    with pytest.raises(RequestError, match="run0 and .*run3 both have seed 3; blocks must not share samples"):
        task.run(config(shapes, *runs), NoProgress())
    manifest = runs[0] / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(OutputError, match="run0 is a run that is not finished; repeat its command, which goes on where it stopped"):
        task.run(config(shapes, runs[0]), NoProgress())


@pytest.mark.usefixtures("named_chair")
def test_runs_of_different_models_are_compared_only_on_request(shapes: Path, tmp_path: Path) -> None:
    one, two = a_run(tmp_path / "one"), a_run(tmp_path / "two")
    manifest = two / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"tiny-dit3d"', '"dit3d-s-4"'))
    with pytest.raises(RequestError, match="one is of tiny-dit3d, .*two of dit3d-s-4; add across=true to compare different models"):
        task.run(config(shapes, one, two), NoProgress())
    assert len(task.run(config(shapes, one, two, across=True), NoProgress()).rows) == 2


def test_training_shapes_stand_in_for_samples(shapes: Path) -> None:
    report = task.run(replace(config(shapes, real=True), data=ReferenceConfig(str(shapes), ["table", "chair"])), NoProgress())
    assert [(row["name"], row["category"], row["samples"]) for row in report.data["rows"]] == [
        ("training shapes", "table", [4]),
        ("training shapes", "chair", [4]),
    ]


def test_the_published_protocol_and_every_distance_have_a_name(shapes: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", points=clouds_of(shapes, "train")[:4].numpy())
    asked = replace(config(shapes, tmp_path / "made.npz", protocol="batches", batch=2), data=ReferenceConfig(str(shapes), ["chair"]))
    report = task.run(replace(asked, distances=["cd", "emd-exact"], points=20), NoProgress())
    assert [row["estimator"] for row in report.data["rows"]] == [find("cd").title, find("emd-exact").title]
    assert {row["protocol"] for row in report.data["rows"]} == {"inside batches of 2 and averaged"}
    assert {row["points"] for row in report.data["rows"]} == {20}


def test_a_box_makes_size_and_place_nothing(shapes: Path, tmp_path: Path) -> None:
    clouds = clouds_of(shapes, "train")
    asked = ReferenceConfig(str(shapes), ["chair"])
    np.savez(tmp_path / "plain.npz", points=clouds.numpy())
    np.savez(tmp_path / "moved.npz", points=(3 * clouds + 5).numpy())
    plain, moved = (
        task.run(replace(config(shapes, tmp_path / f"{name}.npz", frame="box"), data=asked), NoProgress()) for name in ("plain", "moved")
    )
    assert moved.data["rows"][0]["values"] == near(
        plain.data["rows"][0]["values"], dtype=torch.float32, size=8
    )  # of numbers up to 8 before they are moved back
    as_it_is = task.run(replace(config(shapes, tmp_path / "moved.npz"), data=asked), NoProgress())
    assert "times as large as references; if only their shape counts, frame=box" in as_it_is.notes[-1]


def test_a_folder_of_clouds_needs_its_category(shapes: Path, tmp_path: Path) -> None:
    for index, cloud in enumerate(clouds_of(shapes, "train")[:4].numpy()):
        write_ply(tmp_path / "made" / f"{index}.ply", cloud)
    with pytest.raises(DataError, match="made is a folder of clouds of which nothing says the category; add --category NAME"):
        task.run(config(shapes, tmp_path / "made"), NoProgress())
    known = replace(config(shapes, tmp_path / "made"), data=ReferenceConfig(str(shapes), ["chair"]))
    assert task.run(known, NoProgress()).rows[0][:4] == [str(tmp_path / "made"), "chair", "cd", "4 : 4"]


def test_what_cannot_be_measured_says_why(shapes: Path, tmp_path: Path) -> None:
    chair = shapes / "chair.npz"
    with pytest.raises(UnknownName, match="no distance between clouds named 'dc'"):
        task.run(config(shapes, chair, distances=["dc"]), NoProgress())
    with pytest.raises(DataError, match="points=50, but there are clouds of 40 points; take as many or fewer"):
        task.run(config(shapes, chair, points=50), NoProgress())
    np.savez(tmp_path / "made.npz", points=clouds_of(shapes, "train").numpy(), labels=np.zeros(12, int), class_names=["chair"])
    with pytest.raises(DataError, match="none of .*made.npz has clouds of category 'table'"):
        task.run(replace(config(shapes, tmp_path / "made.npz"), data=ReferenceConfig(str(shapes), ["table"])), NoProgress())
    (tmp_path / "torn.npz").write_bytes(chair.read_bytes()[:900])
    with pytest.raises(DataError, match="cannot read .*torn.npz as an .npz: "):
        task.run(config(shapes, tmp_path / "torn.npz"), NoProgress())
    with pytest.raises(RequestError, match="nothing to measure: name a run folder, a folder or a file of samples; or add --real"):
        task.run(EvalConfig(), NoProgress())
