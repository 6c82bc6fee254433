"""From the group `cache` to the plan of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from ditkit.cache.plan import read_plan, write_plan
from ditkit.cache.policies import every
from ditkit.config.schema import AutoCache, BottomCache, RandomCache, SampleConfig, SimilarityCache, TopCache
from ditkit.errors import RequestError
from ditkit.results.progress import NoProgress
from ditkit.tasks.bench.contenders import share
from ditkit.tasks.shared import build, plans
from ditkit.tasks.shared.plans import with_estimated_plan, with_plan


class Titles(NoProgress):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def start(self, total: int, label: str, done: int = 0) -> None:
        self.seen.append(label)


@pytest.mark.parametrize(
    "cache", [RandomCache(budget=0.8), TopCache(budget=0.8), BottomCache(budget=0.8), SimilarityCache(budget=0.8, samples=2)]
)
def test_every_policy_makes_a_plan_that_fits_its_run(tiny: str, weights: str, cache) -> None:
    config = SampleConfig(model=tiny, weights=weights, steps=6, count=2)
    model = build.model(config)
    request = with_plan(build.request(config, model), cache, model)
    assert request.plan is not None and 0 < request.plan.reused < 1
    request.check_fits(model)


def test_auto_takes_the_shipped_plan_that_saves_most_and_of_equals_the_closest(
    tiny: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "SHIPPED", tmp_path)
    config = SampleConfig(model=tiny, weights=weights, steps=6, count=2)
    model = build.model(config)
    bare = build.request(config, model)
    times, sites = bare.solver.times, model.backbone.sites
    for name, period, owner in (("a", 2, tiny), ("b", 3, tiny), ("c", 6, "another")):
        write_plan(replace(every(period, sites, times), model=owner), tmp_path / f"{name}.json")
    planned = with_plan(bare, AutoCache(), model)
    assert planned.plan is not None and planned.plan.provenance["period"] == 3
    for error in (0.2, 0.1, 0.3):
        write_plan(replace(every(3, sites, times), model=tiny, quality={"latent_error": error}), tmp_path / f"{error}.json")
    planned = with_plan(bare, AutoCache(), model)
    assert planned.plan is not None and planned.plan.quality == {"latent_error": 0.1}
    assert with_estimated_plan(bare, AutoCache(), model).plan == planned.plan


def test_auto_says_so_when_it_has_to_calibrate(tiny: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SHIPPED", tmp_path)
    config = SampleConfig(model=tiny, weights=weights, steps=8, count=2)
    model, titles = build.model(config), Titles()
    bare = build.request(config, model)
    planned = with_plan(bare, AutoCache(), model, titles)
    assert titles.seen == ["no shipped plan fits this run, calibrating one"]
    assert planned.plan is not None and planned.plan.model == tiny and planned.plan.weights == model.origin["sketch"]
    estimated = with_estimated_plan(bare, AutoCache(), model)
    assert estimated.plan is not None and abs(share(model, estimated) - 0.7) <= 0.5 / 8
    with pytest.raises(RequestError, match="known only once the plan is calibrated; for an estimate say cache.budget"):
        with_estimated_plan(bare, SimilarityCache(threshold=0.1), model)


def test_every_shipped_plan_fits_the_model_that_it_names() -> None:
    for path in sorted(plans.SHIPPED.glob("*.json")):
        plan = read_plan(path)
        assert plan.model and plan.solver and plan.weights
        config = SampleConfig(model=plan.model, steps=plan.evaluations, count=1)
        model = build.model(config)
        replace(build.request(config, model), plan=plan).check_fits(model)
