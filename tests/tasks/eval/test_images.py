"""Pictures of runs, folders and files against real ones: one number whatever the layout, the protocol said, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from ditkit.codecs.codec import from_uint8
from ditkit.config.schema import EvalConfig, ReferenceConfig
from ditkit.data import picture_sets
from ditkit.data.pictures import read_picture
from ditkit.errors import CheckpointError, DataError, DitkitError, MissingDependency, RequestError
from ditkit.models.judge import load_judge
from ditkit.results.folder import RunFolder
from ditkit.results.progress import NoProgress
from ditkit.results.report import Report
from ditkit.tasks import eval as task
from ditkit.tasks.eval.image_scores import read_samples
from ditkit.tasks.shared import classes
from tests.closeness import ROOTS, assert_close, evaluated, near
from tests.tasks.test_torchrun import run as run_process

SIDE = 64


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # reports without --out are written to runs/


def pixels(count: int, seed: int, side: int = SIDE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def a_folder(path: Path, pictures: np.ndarray) -> Path:
    path.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"{index:03d}.png")
    return path


def an_array(path: Path, pictures: np.ndarray) -> Path:
    np.savez_compressed(path, arr_0=pictures, arr_1=np.zeros(len(pictures), int))
    return path


def measured(target: Path, data: Path | None, **values: object) -> Report:
    asked = EvalConfig([str(target)], ReferenceConfig(str(data) if data else None), resamples=5, batch=4)
    return task.run(replace(asked, **values), NoProgress())


def values(report: Report) -> dict[str, float]:
    return report.data["rows"][0]["values"]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return a_folder(tmp_path / "made", pixels(10, seed=0))


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return an_array(tmp_path / "real.npz", pixels(9, seed=1) // 2)


def features(pictures: np.ndarray) -> np.ndarray:
    return load_judge().features(from_uint8(torch.from_numpy(pictures).movedim(-1, 1))).double().numpy()


def test_the_numbers_are_those_of_plain_numpy(made: Path, real: Path) -> None:
    """No code of the metrics: square roots by general eigenvalues, kernels and balls by loops."""
    x, y = features(pixels(10, seed=0)), features(pixels(9, seed=1) // 2)
    found = values(measured(made, real))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    traces = np.trace(a) + np.trace(b)
    assert found["Frechet"] == near(((x.mean(0) - y.mean(0)) ** 2).sum() + traces - 2 * root, x.shape[1], size=traces * ROOTS)
    radii = [sorted(np.linalg.norm(y - point, axis=1))[3] for point in y]
    inside = [any(np.linalg.norm(point - centre) <= radius for centre, radius in zip(y, radii, strict=True)) for point in x]
    assert found["precision"] == near(np.mean(inside))
    weights, offset = (value.double().numpy() for value in (load_judge().head.weight, load_judge().head.bias))
    logits = x @ weights.T + offset
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert found["IS"] == near(np.exp((p * np.log(p / p.mean(0))).sum(1).mean()), evaluated(load_judge()), torch.float32)


def test_the_layout_of_a_set_changes_no_number(made: Path, real: Path, tmp_path: Path) -> None:
    from_folder = values(measured(made, real))
    assert values(measured(an_array(tmp_path / "made.npz", pixels(10, seed=0)), real)) == from_folder
    assert values(measured(made, a_folder(tmp_path / "real", pixels(9, seed=1) // 2))) == from_folder
    y = features(pixels(9, seed=1) // 2)
    np.savez(tmp_path / "moments.npz", mu=y.mean(0), sigma=np.cov(y, rowvar=False))
    against_moments = values(measured(made, tmp_path / "moments.npz"))
    traces = sum(np.trace(np.cov(x, rowvar=False)) for x in (features(pixels(10, seed=0)), y))
    assert against_moments["Frechet"] == near(from_folder["Frechet"], y.shape[1], size=traces * ROOTS)
    assert "precision" not in against_moments


def test_the_protocol_is_said_and_changes_with_the_reference(made: Path, real: Path, tmp_path: Path) -> None:
    one = measured(made, real)
    other = measured(made, an_array(tmp_path / "other.npz", pixels(9, seed=2)))
    assert one.facts["reference"] == f"9 pictures of {real} (arr_0 of an .npz, 64 x 64)"
    assert one.facts["rounding of runs"] == "8 bits: clamp(127.5 x + 128, 0, 255), truncated"
    assert one.facts["feature hash"] == other.facts["feature hash"] and one.facts["reference hash"] != other.facts["reference hash"]
    said = [note.partition(": the covariance")[0] for note in one.notes]
    assert said[:3] == [
        f"{made}: 10 samples for 128 feature dimensions",
        "the reference: 9 samples for 128 feature dimensions",
        f"{made}: of spatial features, 10 samples for 128 feature dimensions",
    ]
    assert said[3] == "the reference: of spatial features, 9 samples for 128 feature dimensions"


def a_run(path: Path, pictures: np.ndarray, **request: object) -> Path:
    folder = RunFolder(path)
    for index, picture in enumerate(pictures):
        folder.save_image(index, picture)
    images = [{"file": f"images/{index:06d}.png"} for index in range(len(pictures))]
    asked = {"model": "dit-emoji", "labels": [0] * len(pictures), "seeds": list(range(len(pictures)))} | request
    folder.write_manifest({"request": asked, "complete": True, "command": "sample", "images": images})
    return path


def test_a_run_is_a_reference_without_its_grid(made: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", pixels(9, seed=1) // 2)
    RunFolder(run).save_grid([Image.new("RGB", (200, 100))], [""])
    plain = a_folder(tmp_path / "plain", pixels(9, seed=1) // 2)
    assert values(measured(made, run)) == values(measured(made, plain))


def test_the_protocol_says_which_samples_were_asked_for(tmp_path: Path) -> None:
    one = a_run(tmp_path / "one", pixels(4, seed=0), labels=[0, 5, 0, 5])
    two = a_run(tmp_path / "two", pixels(4, seed=1), labels=[0, 5, 0, 5])
    other = a_run(tmp_path / "other", pixels(3, seed=2), seeds=[7, 1, 9])
    worded = {"model": "pixart-emoji", "labels": [0, 1, 2], "prompts": ["a", "b", "c"], "seeds": [3, 3, 3]}
    prompted = a_run(tmp_path / "prompted", pixels(3, seed=2), **worded)
    asked = EvalConfig([str(one), str(two)], resamples=5, across=True)
    assert task.run(asked, NoProgress()).facts["samples"] == "8-bit files, 64 x 64, seeds 0-3, 2 classes"
    plain = a_folder(tmp_path / "plain", pixels(2, seed=3))
    facts = task.run(replace(asked, targets=[str(each) for each in (one, other, prompted, plain)]), NoProgress()).facts
    assert {name: fact for name, fact in facts.items() if name.startswith("samples")} == {
        f"samples of {one}": "8-bit files, 64 x 64, seeds 0-3, 2 classes",
        f"samples of {other}": "8-bit files, 64 x 64, 3 seeds from 1 to 9, 1 class",
        f"samples of {prompted}": "8-bit files, 64 x 64, seed 3, 3 prompts",
        f"samples of {plain}": "8-bit files, 64 x 64",
    }


def test_pictures_of_another_size_are_scaled_for_the_judge(real: Path, tmp_path: Path) -> None:
    report = measured(a_folder(tmp_path / "large", pixels(9, seed=1, side=96)), real)
    how = "as they are if 64 x 64, else resized to that, bilinear with antialiasing"
    assert report.facts["features"] == f"judge, pictures {how}" and report.facts["samples"] == "8-bit files, 96 x 96"
    assert values(report)["Frechet"] > 0


def test_a_large_file_is_unpacked_once(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Watched(ZipFile):
        def open(self, name: Any, *rest: Any, **more: Any) -> Any:
            opened.append(str(name))
            return super().open(name, *rest, **more)

    monkeypatch.setattr(picture_sets, "ZipFile", Watched)
    every_third = [range(start, start + 2) for start in range(0, 8, 3)]
    parts = list(picture_sets.open_set(real).read(every_third))
    assert opened == ["arr_0.npy"] * 2  # what its header says, and what it holds
    known = torch.from_numpy(pixels(9, seed=1) // 2).movedim(-1, 1)
    assert all(torch.equal(part, known[place.start : place.stop]) for part, place in zip(parts, every_third, strict=True))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"real": True}, "real means nothing for pictures; leave it out"),
        ({"distances": ["emd-exact"]}, "distances means nothing for pictures; leave it out"),
        ({"points": 512}, "points means nothing for pictures; leave it out"),
        ({"out": "made/000.png/report"}, "made/000.png is a file, not a folder; choose another with --out"),
    ],
)
def test_what_would_be_ignored_is_refused(made: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(DitkitError, match=message):
        measured(made, None, **asked)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png") == 255).all()


@pytest.mark.slow
def test_two_processes_find_the_number_of_one(made: Path, real: Path, tmp_path: Path) -> None:
    words = ("-m", "ditkit", "eval", str(made), "--data", str(real), "batch=4", "resamples=5", "--out")
    run_process(*words, "one", cwd=tmp_path)
    run_process("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words, "two", cwd=tmp_path)
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text())["rows"] for name in ("one", "two"))
    assert one == two


@pytest.mark.slow
def test_two_processes_sample_and_measure_in_one_command(real: Path, tmp_path: Path) -> None:
    words = ("-m", "ditkit", "eval", "--generate", "model=dit-emoji", "count=5", "steps=1", "batch=2", "--data", str(real), "resamples=5")
    run_process("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words, "--out", "measured", cwd=tmp_path)
    (samples,) = (tmp_path / "runs").iterdir()
    assert len(list(samples.glob("images/*.png"))) == 5
    (row,) = json.loads((tmp_path / "measured" / "metrics.json").read_text())["rows"]
    assert row["pictures"] == 5


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_features_come_from_a_folder_of_weights(name: str, made: Path, real: Path, tmp_path: Path) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model

    small: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    torch.manual_seed(0)
    if name == "clip":
        network = CLIPVisionModelWithProjection(CLIPVisionConfig(**small, intermediate_size=8, projection_dim=4))
    else:
        network = Dinov2Model(Dinov2Config(**small))
    network.save_pretrained(tmp_path / "weights")
    report = measured(made, real, features=name, feature_weights=str(tmp_path / "weights"))
    assert values(report)["Frechet"] > 0 and set(values(report)) == {"Frechet", "KID x 1000", "precision", "recall"}
    assert report.facts["features"] == f"{name}, pictures resized to 28 x 28, bicubic with antialiasing"
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match=f"weights is not a {name}: "):
        measured(made, real, features=name, feature_weights=str(tmp_path / "weights"))


def test_features_that_are_not_there_say_how_to_get_them(made: Path, real: Path) -> None:
    with pytest.raises(MissingDependency, match=r"pip install 'ditkit\[metrics\]', or take features=judge"):
        measured(made, real, features="inception")
    with pytest.raises(CheckpointError, match="features=clip needs a folder with config.json and weights: feature_weights=FOLDER"):
        measured(made, real, features="clip")


def test_what_cannot_be_measured_says_why(made: Path, real: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no images"):
        measured(tmp_path / "empty", real)
    with pytest.raises(DataError, match="nothing to measure at .*absent: give a run folder"):
        measured(tmp_path / "absent", real)
    with pytest.raises(DataError, match="single holds one picture; a set to measure has at least 2"):
        measured(a_folder(tmp_path / "single", pixels(1, seed=0)), real)
    with pytest.raises(DataError, match="the judge sees square pictures, these are 64 x 32; take features=inception, dinov2 or clip"):
        measured(a_folder(tmp_path / "wide", pixels(3, seed=0)[:, :32]), real)
    Image.fromarray(pixels(1, seed=0, side=32)[0]).save(made / "002.png")
    with pytest.raises(DataError, match=r"002.png is 32 x 32, .*000.png is 64 x 64; pictures of one set must have one size"):
        measured(made, real)
    (made / "002.png").write_bytes((made / "001.png").read_bytes()[:100])
    with pytest.raises(DataError, match=r"cannot read the picture .*002.png"):
        measured(made, real)


def test_sizes_that_change_between_batches_are_seen(made: Path, real: Path) -> None:
    for name in ("008.png", "009.png"):
        Image.fromarray(pixels(1, seed=0, side=32)[0]).save(made / name)
    with pytest.raises(DataError, match=r"008.png is 32 x 32, .*000.png is 64 x 64; pictures of one set must have one size"):
        measured(made, real)


def test_files_that_are_damaged_or_of_something_else_say_so(made: Path, real: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.npz"
    torn.write_bytes(real.read_bytes()[:500])
    with pytest.raises(DataError, match="cannot read .*torn.npz as an .npz"):
        measured(made, torn)
    np.savez(tmp_path / "moments.npz", mu=np.zeros(7), sigma=np.eye(7))
    with pytest.raises(
        DataError, match="generated features have 128 dimensions, the reference has 7; take both from one network and layer"
    ):
        measured(made, tmp_path / "moments.npz")
    np.savez(tmp_path / "nan.npz", mu=np.full(128, np.nan), sigma=np.eye(128))
    with pytest.raises(DataError, match="nan.npz has moments that are NaN or infinite"):
        measured(made, tmp_path / "nan.npz")
    np.savez(tmp_path / "grey.npz", arr_0=np.zeros((4, 64, 64), np.uint8))
    with pytest.raises(DataError, match=r"grey.npz holds no pictures: arr_0 is \(4, 64, 64\), not \(N, H, W, 3\)"):
        measured(tmp_path / "grey.npz", real)


def test_a_target_named_twice_has_one_row_and_a_set_is_not_far_from_itself(made: Path, tmp_path: Path) -> None:
    np.savez(made / "notes.npz", notes=np.zeros(1))  # does not make a folder of pictures one of clouds
    report = task.run(EvalConfig([str(made), str(made)], ReferenceConfig(str(made)), resamples=5), NoProgress())
    assert [row["values"]["Frechet"] for row in report.data["rows"]] == [near(0, dtype=torch.float32, size=100)]
    assert report.data["rows"][0]["values"]["Frechet"] >= 0


def test_the_format_of_its_files_changes_no_number(made: Path, real: Path, tmp_path: Path) -> None:
    """Grey pictures: they can be had in more depths and palettes than coloured ones without a loss."""
    grey, exif, other = pixels(8, seed=3)[..., :1].repeat(3, axis=-1), Image.Exif(), tmp_path / "other"
    exif[0x0112] = 6  # to be turned clockwise
    a_folder(tmp_path / "plain", grey)
    other.mkdir()
    deep, sixteen = [Image.fromarray(one[..., 0]) for one in grey], grey[..., 0].astype(np.uint16) * 257
    Image.fromarray(sixteen[0]).save(other / "0.png")
    Image.fromarray(sixteen[1]).save(other / "1.TIFF")
    deep[2].convert("P").save(other / "2.gif")
    deep[3].convert("LA").save(other / "3.webp", lossless=True)
    Image.fromarray(np.rot90(grey[4])).save(other / "4.tif", exif=exif)
    Image.fromarray(np.rot90(grey[5])).save(other / "5.png", exif=exif)
    deep[6].save(other / "6.BMP")
    Image.fromarray(np.dstack([grey[7], np.full((SIDE, SIDE), 255, np.uint8)])).save(other / "7.tga")
    (other / "list.csv").write_text("0,1")
    report = measured(other, real)
    assert values(report) == values(measured(tmp_path / "plain", real))
    assert report.notes[:2] == [
        f"{other}: 1 file is no picture and is left out: list.csv",
        "pictures are turned as their EXIF orientation says",
    ]
    against_itself = measured(other, tmp_path / "plain").data["rows"][0]
    assert against_itself["values"]["Frechet"] == near(0, dtype=torch.float32, size=100)


def test_the_background_of_what_is_transparent_is_that_of_samples_and_of_data(made: Path, tmp_path: Path) -> None:
    black = pixels(4, seed=0)
    black[:, :20] = 0
    a_folder(tmp_path / "black", black)
    (tmp_path / "clear").mkdir()
    for index, picture in enumerate(pixels(4, seed=0)):
        alpha = np.full((SIDE, SIDE), 255, np.uint8)
        alpha[:20] = 0
        Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "clear" / f"{index}.png")
    asked = EvalConfig([str(tmp_path / "clear")], ReferenceConfig(str(made), background="black"), resamples=5, batch=4)
    assert values(task.run(asked, NoProgress())) == values(measured(tmp_path / "black", made))
    assert values(measured(tmp_path / "clear", made)) != values(measured(tmp_path / "black", made))


def test_an_array_in_the_order_of_fortran_is_the_same_pictures(made: Path, real: Path, tmp_path: Path) -> None:
    columns = an_array(tmp_path / "columns.npz", np.asfortranarray(pixels(10, seed=0)))
    assert values(measured(columns, real)) == values(measured(made, real))


def test_no_distance_and_no_end_of_its_interval_is_less_than_nothing(made: Path) -> None:
    row = measured(made, made, resamples=50).data["rows"][0]
    low, high = row["intervals"]["Frechet"]
    assert 0 <= low <= high and row["values"]["Frechet"] == near(0, dtype=torch.float32, size=100)


def test_samples_are_saved_as_adm_reads_them(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", pixels(3, seed=0), labels=[2, 0, 1])
    report = measured(run, None, save_npz=str(tmp_path / "samples.npz"))
    assert tmp_path / "samples.npz" in report.files
    with np.load(tmp_path / "samples.npz") as file:
        assert file["arr_0"].dtype == np.uint8 and np.array_equal(file["arr_0"], pixels(3, seed=0))
        assert file["arr_1"].tolist() == [2, 0, 1]
    before = (tmp_path / "samples.npz").read_bytes()
    measured(run, None, save_npz=str(tmp_path / "samples.npz"))
    assert (tmp_path / "samples.npz").read_bytes() == before


def test_a_reference_is_saved_with_the_moments_of_its_features(made: Path, real: Path, tmp_path: Path) -> None:
    saved = tmp_path / "reference.npz"
    report = task.run(EvalConfig([], ReferenceConfig(str(real)), save_npz=str(saved), batch=4), NoProgress())
    assert report.files == [saved] and "features=inception" in report.notes[-1]
    y = features(pixels(9, seed=1) // 2)
    with np.load(saved) as file:
        assert np.array_equal(file["arr_0"], pixels(9, seed=1) // 2)
        assert_close(file["mu"].astype(np.float32), y.mean(0), evaluated(load_judge()))  # of features made in other batches
        assert_close(file["sigma"].astype(np.float32), np.cov(y, rowvar=False), evaluated(load_judge()), size=2 * np.abs(y).max() ** 2)
        np.savez(tmp_path / "moments.npz", **{name: file[name] for name in ("mu", "sigma", "mu_s", "sigma_s")})
    expected, traces = values(measured(made, real)), 2 * np.trace(np.cov(y, rowvar=False))
    found = values(measured(made, tmp_path / "moments.npz"))
    assert found["Frechet"] == near(expected["Frechet"], y.shape[1], size=traces * ROOTS)
    assert found["sFID"] == near(expected["sFID"], y.shape[1], size=traces * ROOTS)


def test_what_cannot_be_saved_is_refused_before_anything_is_measured(made: Path, real: Path, tmp_path: Path) -> None:
    for asked, line in (
        (
            {"targets": [str(made), str(real)], "save_npz": "a.npz"},
            "--save-npz writes one set of pictures, and there are 2 targets; name one",
        ),
        ({"save_npz": "a.zip"}, "--save-npz takes the name of an .npz file, not 'a.zip'"),
        ({"save_npz": "~/a.npz"}, "~/a.npz begins with ~, which nobody has replaced by your home folder; write $HOME/a.npz"),
        ({"save_npz": str(real)}, f"--save-npz {real} would take the place of what it is made from; choose another name"),
    ):
        with pytest.raises(DitkitError) as caught:
            measured(made, real, **asked)
        assert str(caught.value) == line
    assert not (tmp_path / "runs").exists() and not (tmp_path / "a.npz").exists()


def test_runs_of_different_models_are_compared_only_on_request(tmp_path: Path, real: Path) -> None:
    for name, model in (("a", "dit-emoji"), ("b", "uvit-emoji")):
        a_run(tmp_path / name, pixels(2, seed=index_of(name)), model=model, labels=[0, 1])
    asked = EvalConfig([str(tmp_path / "a"), str(tmp_path / "b")], resamples=5)
    with pytest.raises(RequestError, match="a is of dit-emoji, .*b of uvit-emoji; add across=true to compare different models"):
        task.run(asked, NoProgress())
    report = task.run(replace(asked, across=True), NoProgress())
    assert [row["model"] for row in report.data["rows"]] == ["dit-emoji", "uvit-emoji"]
    assert {"judged accuracy", "IS"} == set(report.data["rows"][0]["values"])


def test_what_the_judge_knows_is_told_by_the_names_of_the_samples(tmp_path: Path) -> None:
    """Weights of a model of the judge's classes may have been trained on others, or on some of them in another order."""
    known = classes.known_classes("emoji")
    for name, wanted in (("own", ["weasel", "newt"]), ("some", [known[7], known[3]])):
        run = a_run(tmp_path / name, pixels(2, seed=0), labels=[0, 150])
        manifest = json.loads((run / "manifest.json").read_text())
        for image, said in zip(manifest["images"], wanted, strict=True):
            image["class"] = said
        (run / "manifest.json").write_text(json.dumps(manifest))
    own, some = (read_samples(str(tmp_path / name)).labels for name in ("own", "some"))
    assert own is None and some is not None and some.tolist() == [7, 3]


def test_runs_of_different_weights_are_compared_only_on_request(tmp_path: Path) -> None:
    origins = {"a": {"weights": "ditkit:x", "fingerprint": "1"}, "b": {"weights": "file:y", "fingerprint": "1"}, "c": {"fingerprint": "2"}}
    origins |= {"old": {}, "random": {"weights": "random", "sketch": "3"}}
    runs = {name: str(a_run(tmp_path / name, pixels(2, seed=0), weights=origin)) for name, origin in origins.items()}
    assert len(task.run(EvalConfig([runs["a"], runs["b"], runs["old"]], resamples=5), NoProgress()).rows) == 3
    for other in ("c", "random"):
        asked = EvalConfig([runs["old"], runs["a"], runs[other]], resamples=5)
        with pytest.raises(RequestError, match=f"a and .*{other} are of dit-emoji with different weights; add across=true to compare them"):
            task.run(asked, NoProgress())
    assert len(task.run(replace(asked, across=True), NoProgress()).rows) == 3


def index_of(name: str) -> int:
    return ord(name)
