"""Making clouds in a run folder: complete, continued, repeated, completed from a part, and drawn where that is possible."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ditkit
from ditkit.config.schema import AutoSampler, EveryCache, Gen3DConfig, RuntimeConfig, SampleConfig
from ditkit.data.clouds import load_clouds
from ditkit.errors import ConfigError, DataError, MissingDependency, OutputError, RequestError
from ditkit.files.tensors import read_tensors
from ditkit.models import checkpoints, registry
from ditkit.results.folder import RunFolder
from ditkit.results.progress import NoProgress
from ditkit.shapes import backend, meshes, preview
from ditkit.shapes.clouds import read_points, write_ply
from ditkit.tasks import gen3d, sample, train
from tests.closeness import assert_close


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gen3d, "GRID_SIDE", 24)
    monkeypatch.setattr(gen3d, "TURNTABLE_SIDE", 16)
    monkeypatch.setattr(preview.turntable, "__defaults__", (3,))


@pytest.fixture
def cloud_weights(tiny3d: str, tmp_path: Path) -> str:
    """Random weights, of clouds around (1, 2, 3) in three categories."""
    torch.manual_seed(0)
    spec = registry.find(tiny3d)
    state = {name: torch.randn_like(value) * 0.1 for name, value in registry.build(spec).state_dict().items() if name != "pos_embed"}
    words = {"class_names": '["chair", "car", "sofa"]', "cloud_mean": "[1.0, 2.0, 3.0]", "cloud_scale": "0.5"}
    checkpoints.save(state, tmp_path / "tiny3d.safetensors", model=tiny3d, params=spec.params, **words)  # pyright: ignore[reportArgumentType]
    return str(tmp_path / "tiny3d.safetensors")


@pytest.fixture
def config(tiny3d: str, cloud_weights: str, tmp_path: Path) -> Gen3DConfig:
    return Gen3DConfig(model=tiny3d, weights=cloud_weights, count=5, batch=2, out=str(tmp_path / "run"))


def files(out: str | Path | None, *, of: str = "*/*") -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(Path(str(out)).glob(of))}


def made(out: str | Path | None) -> np.ndarray:
    with np.load(Path(str(out)) / "clouds.npz") as content:
        return content["points"]


def test_a_run_leaves_clouds_pictures_of_them_and_a_manifest(config: Gen3DConfig) -> None:
    backend.open3d()
    report = gen3d.run(config, NoProgress())
    out = Path(str(config.out))
    assert list(files(out)) == [f"00000{index}.ply" for index in range(5)]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"] and manifest["command"] == "gen3d" and manifest["request"]["points"] is None
    assert [cloud["class"] for cloud in manifest["clouds"]] == ["chair", "car", "sofa", "chair", "car"]
    assert manifest["clouds"][1]["file"] == "clouds/000001.ply"
    assert [file.name for file in report.files] == ["clouds.npz", "grid.png", "turntable.gif", "manifest.json"]
    with Image.open(out / "turntable.gif") as turntable:
        assert (turntable.size, getattr(turntable, "n_frames")) == ((48, 32), 3)  # noqa: B009 (not every image has frames)
    assert report.data["clouds"] == report.data["sampled"] == 5


def test_clouds_are_in_the_coordinates_of_the_training_data(config: Gen3DConfig) -> None:
    gen3d.run(config, NoProgress())
    points = made(config.out)
    assert points.shape == (5, 40, 3) and points.dtype == np.float32
    assert np.array_equal(points[2], read_points(RunFolder(Path(str(config.out))).cloud_file(2), 0))
    gen3d.run(replace(config, out=f"{config.out}-plain", codec=replace(config.codec, path="random")), NoProgress())
    assert_close(points, made(f"{config.out}-plain") * np.float32(0.5) + np.array([1, 2, 3], np.float32))


def test_what_is_made_can_be_read_as_data(config: Gen3DConfig) -> None:
    gen3d.run(replace(config, classes=["sofa", "car"]), NoProgress())
    clouds = load_clouds(Path(str(config.out)) / "clouds.npz")
    assert clouds.class_names == ("car", "sofa")
    assert clouds.labels.tolist() == [0, 0, 1, 1, 1]


def test_a_rerun_makes_only_what_is_missing_and_makes_it_the_same(config: Gen3DConfig) -> None:
    gen3d.run(config, NoProgress())
    before = files(config.out, of="**/*.*")
    assert gen3d.run(config, NoProgress()).data["sampled"] == 0
    RunFolder(Path(str(config.out))).cloud_file(3).unlink()
    assert gen3d.run(config, NoProgress()).data["sampled"] == 2
    after = files(config.out, of="**/*.*")
    assert {**before, "manifest.json": b""} == {**after, "manifest.json": b""}


@pytest.mark.parametrize("cached", [False, True])
def test_a_manifest_repeats_its_run_bit_for_bit(config: Gen3DConfig, tmp_path: Path, cached: bool) -> None:
    if cached:
        config = replace(config, cache=EveryCache(period=2), points=30)
    gen3d.run(config, NoProgress())
    again = Gen3DConfig(source=str(config.out), out=str(tmp_path / "again"))
    gen3d.run(again, NoProgress())
    assert files(again.out) == files(config.out)


def test_points_are_as_many_as_asked_for(config: Gen3DConfig) -> None:
    gen3d.run(replace(config, points=64), NoProgress())
    assert made(config.out).shape == (5, 64, 3)
    with pytest.raises(OutputError, match="holds a run that differs in points"):
        gen3d.run(config, NoProgress())


def test_fewer_points_than_the_model_is_trained_on_are_some_of_as_many(config: Gen3DConfig, tmp_path: Path) -> None:
    gen3d.run(config, NoProgress())
    gen3d.run(replace(config, points=30, out=str(tmp_path / "fewer")), NoProgress())
    assert np.array_equal(made(tmp_path / "fewer"), made(config.out)[:, :30])
    np.save(tmp_path / "part.npy", np.random.default_rng(0).normal(size=(35, 3)))
    with pytest.raises(RequestError, match="35 points are given and a cloud has 30; ask for more points in all"):
        gen3d.run(replace(config, points=30, partial=str(tmp_path / "part.npy"), out=str(tmp_path / "third")), NoProgress())


def test_a_later_start_is_another_run(config: Gen3DConfig) -> None:
    gen3d.run(config, NoProgress())
    with pytest.raises(OutputError, match="holds a run that differs in"):
        gen3d.run(replace(config, sampler=AutoSampler(start=0.5)), NoProgress())
    with pytest.raises(ConfigError, match="sampler.start must be more than 0 and at most 1, not 1.5"):
        AutoSampler(start=1.5)


def test_a_part_of_a_shape_stays_as_it_is_and_is_completed(config: Gen3DConfig, tmp_path: Path) -> None:
    part = np.random.default_rng(0).normal(2, 0.5, (16, 3)).astype(np.float32)
    write_ply(tmp_path / "part.ply", part)
    completing = replace(config, partial=str(tmp_path / "part.ply"))
    gen3d.run(completing, NoProgress())
    points = made(config.out)
    assert points.shape == (5, 40, 3)
    assert all(np.array_equal(cloud[:16], part) for cloud in points)
    gen3d.run(Gen3DConfig(source=str(config.out), out=str(tmp_path / "again")), NoProgress())
    assert files(tmp_path / "again") == files(config.out)
    write_ply(tmp_path / "part.ply", part + 1)
    with pytest.raises(RequestError, match="cannot be repeated here: what decides its bits differs in known"):
        gen3d.run(Gen3DConfig(source=str(config.out), out=str(tmp_path / "third")), NoProgress())


class Notes(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_a_part_in_other_units_is_completed_in_them(config: Gen3DConfig, tmp_path: Path) -> None:
    """Far from the origin, and in units of a 1024th: a power of two, so that all numbers have the same bits but for their exponents."""
    part = (np.random.default_rng(0).normal(0, 400, (16, 3)) + 3000).astype(np.float32)
    made_in, notes = {}, Notes()
    for name, unit in (("mm", 1), ("um", 1024)):
        np.save(tmp_path / f"{name}.npy", part * unit)
        asked = replace(config, partial=str(tmp_path / f"{name}.npy"), out=str(tmp_path / name))
        gen3d.run(asked, notes)
        made_in[name] = made(asked.out)
        assert all(np.array_equal(cloud[:16], part * unit) for cloud in made_in[name])
    assert np.array_equal(made_in["mm"] * 1024, made_in["um"])
    added = np.ptp(made_in["mm"][0, 16:], axis=0).max()
    assert added > np.ptp(part, axis=0).max() / 10  # and no speck beside the part, as in the model's own coordinates
    assert len(notes.said) == 2 and "mm.npy is taken in units of its own, with (" in notes.said[0]
    assert notes.said[0].endswith("what is made comes back in them (frame=model takes them for the model's)")
    again = Gen3DConfig(source=str(tmp_path / "mm"), out=str(tmp_path / "again"))
    gen3d.run(again, NoProgress())
    assert files(again.out) == files(tmp_path / "mm")


def test_the_frame_of_a_part_can_be_said(config: Gen3DConfig, tmp_path: Path) -> None:
    part = np.random.default_rng(0).normal((1, 2, 3), 0.5, (16, 3)).astype(np.float32)  # as the model's data are
    np.save(tmp_path / "part.npy", part)
    runs = {}
    for frame in ("auto", "model", "part"):
        notes = Notes()
        asked = replace(config, partial=str(tmp_path / "part.npy"), frame=frame, out=str(tmp_path / frame))
        gen3d.run(asked, notes)
        runs[frame] = made(asked.out)
        assert len(notes.said) == (frame == "part")
    assert np.array_equal(runs["auto"], runs["model"]) and not np.array_equal(runs["auto"], runs["part"])
    np.save(tmp_path / "part.npy", np.full((20, 3), 5.0))
    with pytest.raises(DataError, match=r"part\.npy has all its points at one place; a part of a shape has some extent$"):
        gen3d.run(replace(config, partial=str(tmp_path / "part.npy"), out=str(tmp_path / "speck")), NoProgress())


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (np.zeros((40, 3)), RequestError, "40 points are given and a cloud has 40; ask for more points in all"),
        (np.zeros((15, 3)), DataError, "part.npy has 15 points; a cloud needs at least 16"),
        (np.full((20, 3), np.nan), DataError, "part.npy has coordinates that are NaN or infinite"),
    ],
)
def test_a_part_that_cannot_be_completed_is_refused_before_anything_is_written(
    config: Gen3DConfig, tmp_path: Path, points: np.ndarray, error: type[Exception], message: str
) -> None:
    np.save(tmp_path / "part.npy", points)
    with pytest.raises(error, match=message):
        gen3d.run(replace(config, partial=str(tmp_path / "part.npy")), NoProgress())
    assert not Path(str(config.out)).exists()


def test_surfaces_are_written_if_they_are_wanted(config: Gen3DConfig) -> None:
    backend.open3d()
    gen3d.run(config, NoProgress())
    report = gen3d.run(replace(config, mesh=True), NoProgress())  # of clouds that are there already
    assert len(files(config.out, of="meshes/*.obj")) == 5
    assert "5 of 5 clouds were there already" in report.notes


def test_a_cloud_without_a_surface_is_counted(config: Gen3DConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.open3d()

    def enclosing_nothing(points: np.ndarray) -> meshes.Mesh:
        raise DataError("flat")

    monkeypatch.setattr(gen3d, "alpha_shape", enclosing_nothing)
    report = gen3d.run(replace(config, mesh=True), NoProgress())
    assert "5 of 5 clouds enclose nothing and have no mesh" in report.notes


def test_where_nothing_can_be_drawn_the_clouds_are_saved_all_the_same(config: Gen3DConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependency("meshes and pictures of clouds need open3d, which does not load; apt install libusb-1.0-0")

    for module in (preview, meshes):
        monkeypatch.setattr(module, "open3d", missing)
    report = gen3d.run(config, NoProgress())
    assert [file.name for file in report.files] == ["clouds.npz", "manifest.json"]
    (note,) = report.notes
    assert note.startswith("the clouds are saved; meshes and pictures of clouds need open3d") and "apt install libusb-1.0-0" in note
    assert len(files(config.out)) == 5


def test_an_unknown_category_lists_the_known_ones(config: Gen3DConfig) -> None:
    with pytest.raises(RequestError, match=r"no category named 'chiar'; tiny-dit3d knows chair, car, sofa$"):
        gen3d.run(replace(config, classes=["chiar"]), NoProgress())
    with pytest.raises(RequestError, match=r"no category named 'bed'; dit3d-shapes knows chair, airplane, car, table, sofa$"):
        gen3d.run(Gen3DConfig(weights="random", classes=["bed"]), NoProgress())


def test_each_command_refuses_the_models_of_the_other(config: Gen3DConfig, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^dit-emoji makes pictures; use it with ditkit sample --model dit-emoji$"):
        gen3d.run(Gen3DConfig(model="dit-emoji"), NoProgress())
    clouds = r"^tiny-dit3d makes point clouds; use it with ditkit gen3d --model tiny-dit3d$"
    for command in (lambda of: sample.run(of, NoProgress()), sample.estimate):
        with pytest.raises(RequestError, match=clouds):
            command(SampleConfig(model=config.model, out=str(tmp_path / "pictures")))
    with pytest.raises(RequestError, match=clouds):
        ditkit.sample(ditkit.load(config.model, config.weights))
    gen3d.run(config, NoProgress())
    with pytest.raises(OutputError, match=r"is of a run of ditkit gen3d; repeat it with ditkit gen3d --from$"):
        sample.run(SampleConfig(source=str(config.out)), NoProgress())


def test_an_estimate_counts_and_writes_nothing(config: Gen3DConfig) -> None:
    report = gen3d.estimate(config)
    assert report.data["clouds"] == 5 and "multiply-adds per cloud" in report.facts
    assert not Path(str(config.out)).exists()


def test_half_precision_makes_clouds_too(config: Gen3DConfig) -> None:
    gen3d.run(replace(config, runtime=RuntimeConfig(precision="bfloat16")), NoProgress())
    assert np.isfinite(made(config.out)).all()


def test_what_was_trained_here_makes_clouds(tiny3d: str, folder_of_clouds: Path, tmp_path: Path) -> None:
    from ditkit.config.schema import DataConfig, TrainConfig

    data = DataConfig(path=str(folder_of_clouds))
    (weights,) = train.run(TrainConfig(model=tiny3d, data=data, steps=2, batch=2, out=str(tmp_path / "train")), NoProgress()).files
    assert "blocks.0.attn.proj.weight" in read_tensors(weights)
    gen3d.run(Gen3DConfig(model=tiny3d, weights=str(weights), classes=["table"], count=1, out=str(tmp_path / "run")), NoProgress())
    assert made(tmp_path / "run").shape == (1, 40, 3)
