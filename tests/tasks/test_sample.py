"""Sampling into a run folder: complete, continued, repeated, and never mixed with another run."""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

import ditkit
from ditkit.config.schema import AutoCache, EveryCache, FileCache, ForecastCache, SampleConfig, option
from ditkit.errors import ConfigError, DitkitError, OutputError, PlanMismatch, RequestError, UnknownName
from ditkit.files.tensors import read_tensors, write_tensors
from ditkit.models import registry
from ditkit.models.sit import SiT
from ditkit.results.folder import RunFolder
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample
from tests.models.tiny import drawn


@pytest.fixture
def config(tiny: str, weights: str, tmp_path: Path) -> SampleConfig:
    return SampleConfig(model=tiny, weights=weights, count=5, batch=2, out=str(tmp_path / "run"))


def pictures(folder: str | Path | None) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((Path(str(folder)) / "images").iterdir())}


def test_a_run_leaves_pictures_a_grid_and_a_manifest(config: SampleConfig) -> None:
    report = sample.run(config, NoProgress())
    assert list(pictures(config.out)) == [f"00000{index}.png" for index in range(5)]
    manifest = json.loads((Path(str(config.out)) / "manifest.json").read_text())
    assert manifest["complete"] and manifest["request"]["seeds"] == [0, 1, 2, 3, 4]
    assert [image["class"] for image in manifest["images"]] == ["0", "1", "2", "0", "1"]
    assert len(manifest["request"]["weights"]["fingerprint"]) == 64
    assert report.data["sampled"] == 5 and report.data["evaluations"] == 4


@pytest.mark.parametrize("tiny", ["tiny-sit"], indirect=True)
def test_a_solver_that_chooses_its_times_is_reported_by_the_evaluations_it_made(config: SampleConfig) -> None:
    class Counted(NoProgress):
        made = 0

        def advance(self, n: int = 1, **values: object) -> None:
            self.made += n

    asked = replace(config, count=2, steps=500, sampler=option("sampler", "dopri5"))
    assert sample.estimate(asked).facts["evaluations"] == "at most 500"
    counted = Counted()
    report = sample.run(asked, counted)
    assert report.data["evaluations"] == counted.made / 2 and 8 <= counted.made / 2 < 500
    assert report.facts["evaluations"] == f"{counted.made / 2:.0f} of at most 500, on average"
    assert sample.run(asked, NoProgress()).facts["evaluations"] == "at most 500"  # nothing was made
    line = "^dopri5 chooses its times as it goes: no plan fits it; choose another --solver, or cache=none$"
    for cache in (AutoCache(), EveryCache(), ForecastCache()):
        with pytest.raises(PlanMismatch, match=line):
            sample.estimate(replace(asked, cache=cache))


def test_a_rerun_makes_only_what_is_missing_and_makes_it_the_same(config: SampleConfig) -> None:
    sample.run(config, NoProgress())
    before = pictures(config.out)
    assert sample.run(config, NoProgress()).data["sampled"] == 0
    RunFolder(Path(str(config.out))).image_file(3).unlink()
    assert sample.run(config, NoProgress()).data["sampled"] == 2  # the whole batch of two, so that its bits stay
    assert pictures(config.out) == before


@pytest.mark.parametrize("cached", [False, True])
def test_a_manifest_repeats_its_run_bit_for_bit(config: SampleConfig, tmp_path: Path, cached: bool) -> None:
    if cached:
        config = replace(config, cache=EveryCache(period=2))
    sample.run(config, NoProgress())
    source = Path(str(config.out)) / "manifest.json"
    again = SampleConfig(source=str(source.parent if cached else source), out=str(tmp_path / "again"))
    sample.run(again, NoProgress())
    assert pictures(again.out) == pictures(config.out)


def test_a_manifest_is_not_repeated_with_other_weights(config: SampleConfig, weights: str, tmp_path: Path) -> None:
    sample.run(replace(config, count=1), NoProgress())
    state = read_tensors(Path(weights))
    write_tensors(Path(weights), {name: value * 0.9 for name, value in state.items()})
    again = SampleConfig(source=str(Path(str(config.out)) / "manifest.json"))
    with pytest.raises(RequestError, match="cannot be repeated here: what decides its bits differs in weights"):
        sample.run(again, NoProgress())
    assert not (tmp_path / "run-again").exists()


def test_a_rerun_that_makes_nothing_leaves_the_manifest(config: SampleConfig) -> None:
    sample.run(config, NoProgress())
    manifest = (Path(str(config.out)) / "manifest.json").read_text()
    sample.run(config, NoProgress())
    assert (Path(str(config.out)) / "manifest.json").read_text() == manifest


def test_a_picture_that_was_damaged_is_named_with_the_way_out(config: SampleConfig) -> None:
    sample.run(config, NoProgress())
    broken = Path(str(config.out)) / "images" / "000001.png"
    broken.write_bytes(b"x")
    with pytest.raises(OutputError, match=r"cannot read .*000001.png: remove it and repeat the command, which makes it again"):
        sample.run(config, NoProgress())
    broken.unlink()
    sample.run(config, NoProgress())


def test_another_request_does_not_get_into_the_same_folder(config: SampleConfig) -> None:
    sample.run(config, NoProgress())
    with pytest.raises(OutputError, match=r"holds a run that differs in guidance; choose another folder with --out"):
        sample.run(replace(config, guidance=3.0), NoProgress())


def test_without_a_folder_the_request_names_one(config: SampleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = sample.run(replace(config, out=None, count=1), NoProgress()).data["out"]
    second = sample.run(replace(config, out=None, count=1, seed=1), NoProgress()).data["out"]
    assert first != second and first.startswith(f"runs/{config.model}-")


def test_classes_are_asked_for_by_number_and_wrong_ones_refused(config: SampleConfig) -> None:
    report = sample.run(replace(config, classes=["2", "0"], count=3), NoProgress())
    manifest = json.loads((Path(report.data["out"]) / "manifest.json").read_text())
    assert manifest["request"]["labels"] == [2, 0, 2]
    with pytest.raises(RequestError, match=r"has classes 0 to 2, not 3"):
        sample.run(replace(config, classes=["3"]), NoProgress())
    with pytest.raises(UnknownName, match="no class named 'rocked'; did you mean 'rocket'"):
        sample.run(SampleConfig(weights="random", classes=["rocked"]), NoProgress())


def test_a_plan_for_another_run_is_refused_before_anything_is_written(config: SampleConfig, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(
        '{"format": "ditkit-plan", "version": 1, "sites": ["0.attn"], "rows": [{"time": 1, "compute": "1"}]}'
    )
    with pytest.raises(PlanMismatch, match="the plan is for a model with 1 sites"):
        sample.run(replace(config, cache=FileCache(path=str(tmp_path / "plan.json"))), NoProgress())
    assert not Path(str(config.out)).exists()


def test_manifests_that_cannot_be_repeated_say_why(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    for content, message in [
        ("{", "is not a manifest"),
        ('{"format": "other"}', 'it has no "format": "ditkit-run"'),
        ('{"format": "ditkit-run", "version": 9, "request": {}}', "has manifest version 9; this ditkit reads version 1"),
        ('{"format": "ditkit-run", "version": 1, "request": {}}', "belongs to a run that never finished"),
        ('{"format": "ditkit-run", "version": 1, "request": {"plan": null}, "config": {"colour": 1}}', "cannot read"),
    ]:
        path.write_text(content)
        with pytest.raises(DitkitError, match=message):
            sample.run(SampleConfig(source=str(path)), NoProgress())


def test_an_estimate_counts_and_writes_nothing(config: SampleConfig) -> None:
    plain = sample.estimate(config).data
    cached = sample.estimate(replace(config, cache=EveryCache(period=2))).data
    assert cached["multiply_adds"] < plain["multiply_adds"] == cached["multiply_adds_without_plan"]
    assert cached["cache_bytes"] > 0
    forecast = sample.estimate(replace(config, cache=ForecastCache(budget=0.5)))
    assert forecast.facts["memory for cached outputs"] == f"{forecast.data['cache_bytes'] / 1024:.1f} KiB" != "0.0 KiB"
    assert not Path(str(config.out)).exists()


def test_a_plan_for_weights_never_seen_costs_no_more_than_sampling_the_calibrations_samples_once(
    config: SampleConfig, tiny: str, tmp_path: Path
) -> None:
    rows: list[int] = []
    network = type(registry.build(registry.SPECS[tiny]))
    hook = register_module_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])) if isinstance(module, network) else None)
    asked, halves, samples = replace(config, steps=8, cache=AutoCache(budget=0.5)), 2, ForecastCache().samples
    try:
        sample.run(asked, NoProgress())
        first = sum(rows)
        sample.run(replace(asked, seed=100, out=str(tmp_path / "again")), NoProgress())
    finally:
        hook.remove()
    assert sum(rows) - first == halves * 5 * 4  # pictures of other seeds: half of eight evaluations, and the plan that was kept
    assert first - (sum(rows) - first) == halves * samples * 8


def test_python_draws_the_pictures_that_the_command_draws(config: SampleConfig, tiny: str, weights: str) -> None:
    import numpy as np
    from PIL import Image

    sample.run(replace(config, batch=5), NoProgress())
    images = ditkit.sample(ditkit.load(tiny, weights), classes=[0, 1, 2], seeds=range(5))
    for index, image in enumerate(images):
        with Image.open(RunFolder(Path(str(config.out))).image_file(index)) as file:
            assert np.array_equal(np.asarray(file), np.asarray(image))


@pytest.mark.parametrize("tiny", ["tiny-sit"], indirect=True)
@pytest.mark.parametrize("learn_sigma", [True, False])
def test_a_sit_of_other_classes_is_sampled_from_what_its_training_saved(tiny: str, learn_sigma: bool, tmp_path: Path) -> None:
    """As train.py saves it: the average in a dictionary, the final layer with its untrained half or without."""
    params = replace(registry.SPECS[tiny].params, classes=7, learn_sigma=learn_sigma)
    network = drawn(SiT(params))  # pyright: ignore[reportArgumentType] (of any family)
    state = network.state_dict()
    if learn_sigma:
        halves = state["final_layer.linear.weight"].unflatten(0, (4, 2, 4))
        halves[:, 1] = 0
    told = {"model": {name: 0 * value for name, value in state.items()}, "ema": state, "opt": {}, "args": Namespace(num_classes=7)}
    torch.save(told, tmp_path / "0400000.pt")
    asked: dict[str, Any] = {"model": tiny, "weights": str(tmp_path / "0400000.pt"), "classes": ["6"], "count": 1}
    sample.run(SampleConfig(**asked, out=str(tmp_path / "run")), NoProgress())
    with pytest.raises(RequestError, match="^tiny-sit has classes 0 to 6, not 7$"):
        sample.run(SampleConfig(**{**asked, "classes": ["7"]}, out=str(tmp_path / "other")), NoProgress())
    sample.run(SampleConfig(**{**asked, "classes": ["5"]}, out=str(tmp_path / "five")), NoProgress())
    assert pictures(tmp_path / "run") != pictures(tmp_path / "five")


@pytest.mark.parametrize(
    ("channels", "error", "line"),
    [
        (0, ConfigError, "guidance_channels must be at least 1, not 0"),
        (-1, ConfigError, "guidance_channels must be at least 1, not -1"),
        (9, RequestError, "{} makes {} channels, of which guidance_channels=9 cannot be guided"),
    ],
)
def test_channels_that_there_are_not_cannot_be_guided(
    tiny: str, weights: str, tmp_path: Path, channels: int, error: Any, line: str
) -> None:
    for task in (sample.run, lambda config, progress: sample.estimate(config)):
        with pytest.raises(error) as caught:
            task(SampleConfig(model=tiny, weights=weights, guidance_channels=channels, out=str(tmp_path / "run")), NoProgress())
        assert str(caught.value) == line.format(tiny, 4 if "uvit" in tiny else 8)
    assert not (tmp_path / "run").exists()
