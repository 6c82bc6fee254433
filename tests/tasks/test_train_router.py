"""From a command's configuration to a plan that samples."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ditkit.cache.plan import read_plan
from ditkit.config.schema import DataConfig, FileCache, SampleConfig, TrainRouterConfig
from ditkit.errors import CheckpointError, ConfigError, DitkitError, PlanMismatch
from ditkit.files.tensors import read_metadata, read_tensors
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample, train_router
from ditkit.tasks.shared.loop import read_log


def _config(model: str, weights: str, out: Path, **changes: object) -> TrainRouterConfig:
    values = {"steps": 4, "batch": 3, "samples": 2, "evaluations": 6, "save_minutes": 0.0, "budget": 0.8, **changes}
    return TrainRouterConfig(model=model, weights=weights, out=str(out), **values)  # pyright: ignore[reportArgumentType]


def test_a_learned_plan_is_obeyed_by_sampling(tiny: str, weights: str, tmp_path: Path) -> None:
    report = train_router.run(_config(tiny, weights, tmp_path / "router"), NoProgress())
    plan = read_plan(tmp_path / "router" / "plan.json")
    assert (plan.model, plan.evaluations) == (tiny, 6)
    assert 0.6 < report.data["kept"] <= 0.8
    gated = 3 if tiny == "tiny-dit" else 2
    assert report.data["parameters"] == gated * len(plan.sites)
    logits = read_tensors(tmp_path / "router" / "router.safetensors")["logits"]
    assert logits.shape == (gated, len(plan.sites))
    assert json.loads(read_metadata(tmp_path / "router" / "router.safetensors")["sites"]) == [str(site) for site in plan.sites]
    assert all(file.exists() for file in report.files)
    cached = FileCache(path=str(tmp_path / "router" / "plan.json"))
    made = sample.run(SampleConfig(model=tiny, weights=weights, count=2, steps=6, cache=cached, out=str(tmp_path / "run")), NoProgress())
    assert made.data["sampled"] == 2
    with pytest.raises(PlanMismatch, match="covers 6 evaluations, this run makes 4"):
        sample.run(SampleConfig(model=tiny, weights=weights, count=2, steps=4, cache=cached, out=str(tmp_path / "other")), NoProgress())
    with pytest.raises(PlanMismatch, match="was made for other weights"):
        sample.run(SampleConfig(model=tiny, weights="random", count=2, steps=6, cache=cached, out=str(tmp_path / "other")), NoProgress())
    assert not (tmp_path / "other").exists()


def test_a_router_can_be_trained_on_pictures(tiny: str, weights: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    data = DataConfig(path=str(folder_of_pictures), augment=2)
    report = train_router.run(_config(tiny, weights, tmp_path / "router", data=data, guidance=1.0, budget=None), NoProgress())
    assert report.data["step"] == 4
    assert not list((tmp_path / "router").glob("trajectories-*"))


def test_a_router_can_be_trained_on_whole_runs(tiny: str, weights: str, tmp_path: Path) -> None:
    report = train_router.run(_config(tiny, weights, tmp_path / "router", trial="runs", period=100, budget=0.5), NoProgress())
    gated = 5 if tiny == "tiny-dit" else 4
    plan = read_plan(tmp_path / "router" / "plan.json")
    assert report.data["parameters"] == gated * len(plan.sites) and report.data["kept"] <= 0.5


def test_more_steps_go_on_from_the_saved_scores(tiny: str, weights: str, tmp_path: Path) -> None:
    train_router.run(_config(tiny, weights, tmp_path / "router"), NoProgress())
    (kept,) = (tmp_path / "router").glob("trajectories-*")
    before = kept.stat().st_mtime_ns
    report = train_router.run(_config(tiny, weights, tmp_path / "router", steps=6), NoProgress())
    assert report.data["step"] == 6 and kept.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"budget": 1.5}, "budget must be more than 0 and at most 1, not 1.5"),
        ({"threshold": -0.1}, "threshold must be between 0 and 1, not -0.1"),
        ({"period": 1}, "period must be at least 2, not 1"),
        ({"penalty": "sites"}, "no penalty named 'sites'; known: branches, multiply-adds"),
        ({"trial": "whole"}, "no trial named 'whole'; known: evaluations, runs"),
        (
            {"trial": "runs", "data": DataConfig(path="pictures")},
            "whole runs are the model's own and need no data; leave out --data, or say recipe=fast",
        ),
        ({"learning_rate": 0.0}, "learning_rate must be more than 0, not 0"),
    ],
)
def test_bad_values_are_refused_in_one_line(changes: dict, line: str) -> None:
    with pytest.raises(DitkitError) as caught:
        TrainRouterConfig(**changes)
    assert str(caught.value) == line


def test_a_step_that_was_logged_twice_counts_as_it_was_done_last(tmp_path: Path) -> None:
    lines = [{"step": 20, "loss": 0.5}, {"step": 40, "loss": 0.4}, {"step": 20, "loss": 0.3}, {"step": 20, "loss": 0.6}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_log(tmp_path) == {20: {"loss": 0.6}, 40: {"loss": 0.4}}


@pytest.mark.parametrize("left", [b"\0" * 64, b"\xff\xfe\x80\n", b'{"step": 40, "lo'], ids=["zeros", "no text", "half a line"])
def test_what_a_system_that_went_down_left_in_a_log_is_no_line_of_it(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 20, "loss": 0.5}\n' + left)
    assert read_log(tmp_path) == {20: {"loss": 0.5}}


def test_other_values_are_not_learned_by_the_same_scores(tiny: str, weights: str, tmp_path: Path) -> None:
    train_router.run(_config(tiny, weights, tmp_path / "router"), NoProgress())
    with pytest.raises(CheckpointError, match=r"was trained with price=0\.0001; say the same"):
        train_router.run(_config(tiny, weights, tmp_path / "router", price=1e-3), NoProgress())


def test_a_plan_of_other_weights_is_no_beginning(tiny: str, weights: str, tmp_path: Path) -> None:
    config = _config(tiny, weights, tmp_path / "router", trial="runs", period=100, budget=0.5)
    train_router.run(config, NoProgress())
    plan = str(tmp_path / "router" / "plan.json")
    others = replace(config, weights="random", begin=plan, out=str(tmp_path / "other"))
    with pytest.raises(PlanMismatch, match="was made for other weights"):
        train_router.run(others, NoProgress())
    with pytest.raises(
        ConfigError, match=r"plan\.json covers 6 evaluations, this training 7; say evaluations=6 or begin with another plan$"
    ):
        train_router.run(replace(others, evaluations=7), NoProgress())
    assert not (tmp_path / "other").exists()


def test_a_budget_that_cannot_be_met_is_refused_before_any_work(tiny: str, weights: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a budget of 0.1 cannot be met"):
        train_router.run(_config(tiny, weights, tmp_path / "router", budget=0.1), NoProgress())
    assert not (tmp_path / "router").exists()
