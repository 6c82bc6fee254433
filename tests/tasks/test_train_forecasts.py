"""`ditkit train-router recipe=forecast`: a plan that fits its run, measured stage by stage on samples that no stage has seen."""

import json
from pathlib import Path

import pytest

from ditkit.cache.plan import read_plan
from ditkit.cache.policies import everything, skipping
from ditkit.config.schema import TrainRouterConfig
from ditkit.errors import ConfigError
from ditkit.results.progress import NoProgress
from ditkit.tasks import train_router
from tests.closeness import near

STAGES = ["evenly spread, closed form", "by what is left over, closed form", "chosen in miniature, closed form", "refined on whole runs"]
FEWER = "3 evaluations, no plan"


class Titles(NoProgress):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def start(self, total: int, label: str, done: int = 0) -> None:
        self.seen.append(label)


def _config(model: str, weights: str, out: Path, **changes: object) -> TrainRouterConfig:
    values = {"forecasts": True, "evaluations": 6, "samples": 3, "batch": 3, "budget": 0.5, "iterations": 1, **changes}
    return TrainRouterConfig(model=model, weights=weights, out=str(out), **values)  # pyright: ignore[reportArgumentType]


def test_the_plan_of_the_best_stage_is_written_with_what_it_was_measured_at(tiny: str, weights: str, tmp_path: Path) -> None:
    report = train_router.run(_config(tiny, weights, tmp_path), NoProgress())
    plan = read_plan(tmp_path / "plan.json")
    assert len(plan.whole) == 3 and plan.model == tiny and plan.provenance["samples"] == 3
    assert [row[0] for row in report.rows] == [*STAGES, FEWER]
    *means, fewer = [sum(stage["errors"]) / 3 for stage in json.loads((tmp_path / "stages.json").read_text())]
    assert any("not worth taking" in note for note in report.notes) == (fewer < min(means))
    assert plan.quality["latent_error"] == near(min(means), within=1e-4)
    assert report.data["kept"] == near(0.5)
    assert (tmp_path / "heatmap.png").exists()


def test_what_was_recorded_serves_another_budget(tiny: str, weights: str, tmp_path: Path) -> None:
    for budget, seen in ((0.5, True), (0.7, False)):
        titles = Titles()
        train_router.run(_config(tiny, weights, tmp_path, budget=budget), titles)
        assert ("runs without a plan" in titles.seen) == seen
    assert len(read_plan(tmp_path / "plan.json").whole) == 2


def test_an_error_or_a_speed_up_stands_in_for_the_budget(tiny: str, weights: str, tmp_path: Path) -> None:
    train_router.run(_config(tiny, weights, tmp_path, speed_up=3.0), NoProgress())
    assert len(read_plan(tmp_path / "plan.json").whole) == 4
    train_router.run(_config(tiny, weights, tmp_path, max_error=1e-9), NoProgress())
    assert not read_plan(tmp_path / "plan.json").whole


def test_a_plan_to_begin_with_is_tried_at_its_own_cost(tiny: str, weights: str, tmp_path: Path) -> None:
    train_router.run(_config(tiny, weights, tmp_path), NoProgress())
    held = read_plan(tmp_path / "plan.json")
    begun = skipping({2, 4}, held.sites, held.times)
    begun.save(tmp_path / "begin.json")
    config = _config(tiny, weights, tmp_path, begin=str(tmp_path / "begin.json"))
    train_router.run(config, NoProgress())
    assert len(read_plan(tmp_path / "plan.json").whole) == 2
    everything(held.sites, held.times).save(tmp_path / "begin.json")
    with pytest.raises(ConfigError, match="forecasts no evaluation as a whole; begin with a plan that does"):
        train_router.run(config, NoProgress())


def test_evenly_spread_forecasts_take_no_search(tiny: str, weights: str, tmp_path: Path) -> None:
    report = train_router.run(_config(tiny, weights, tmp_path, search=False), NoProgress())
    assert [row[0] for row in report.rows] == [STAGES[0], STAGES[3], FEWER]


def test_without_iterations_nothing_is_refined(tiny: str, weights: str, tmp_path: Path) -> None:
    titles = Titles()
    report = train_router.run(_config(tiny, weights, tmp_path, iterations=0), titles)
    assert [row[0] for row in report.rows] == [*STAGES[:3], FEWER] and not any("refining" in title for title in titles.seen)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"max_error": 0.1, "speed_up": 2.0}, "give either max_error or speed_up: each of them says what to keep"),
        ({"max_error": -0.1}, "max_error must be more than 0, not -0.1"),
        ({"speed_up": 1.0}, "speed_up must be more than 1, not 1"),
        ({"speed_up": 2.0, "forecasts": False}, "speed_up is for forecasts of whole evaluations; say recipe=forecast"),
        ({"order": 4}, "order must be 1, 2 or 3, not 4"),
    ],
)
def test_settings_that_contradict_are_refused_in_words(changes: dict[str, object], line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _config("dit-emoji", "random", tmp_path, **changes)
    assert str(caught.value) == line


def test_what_cannot_be_kept_is_refused_before_any_run(tiny: str, weights: str, tmp_path: Path) -> None:
    titles = Titles()
    for changes, least in (({"budget": 0.05}, 0.05), ({"speed_up": 100.0}, 0.01)):
        with pytest.raises(ConfigError, match=f"a budget of {least} cannot be met: of 6 evaluations from 0.167 to 0.833 can be kept"):
            train_router.run(_config(tiny, weights, tmp_path, **changes), titles)
    with pytest.raises(ConfigError, match="max_error needs search=true"):
        train_router.run(_config(tiny, weights, tmp_path, max_error=0.1, search=False), titles)
    assert titles.seen == []
