"""From the group `cache` to the plan of a run."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ditkit.cache.plan import CachePlan, read_plan, to_data, write_plan
from ditkit.cache.policies import every, skipping
from ditkit.config.schema import (
    AutoCache,
    AutoSampler,
    BottomCache,
    DPMSolverPPConfig,
    EveryCache,
    ForecastCache,
    NoCache,
    RandomCache,
    SampleConfig,
    SimilarityCache,
    TopCache,
)
from ditkit.engine.fit import fitted
from ditkit.errors import ConfigError, RequestError
from ditkit.models import checkpoints, registry
from ditkit.results.progress import NoProgress
from ditkit.routing.search import best_choice
from ditkit.routing.undisturbed import undisturbed
from ditkit.tasks.bench.contenders import share
from ditkit.tasks.shared import build, costs, plans
from ditkit.tasks.shared.calibrated import calibration_request, choosing
from ditkit.tasks.shared.plans import with_estimated_plan, with_plan


class Titles(NoProgress):
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def start(self, total: int, label: str, done: int = 0) -> None:
        self.seen.append(label)


@pytest.mark.parametrize(
    "cache",
    [
        RandomCache(budget=0.8),
        TopCache(budget=0.8),
        BottomCache(budget=0.8),
        SimilarityCache(budget=0.8, samples=2),
        ForecastCache(budget=0.5, samples=2),
        ForecastCache(budget=0.5, samples=2, of="branches", order=3),
    ],
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


def test_a_budget_takes_the_shipped_plan_that_keeps_about_as_much(
    tiny: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "SHIPPED", tmp_path)
    config = SampleConfig(model=tiny, weights=weights, steps=6, count=2)
    model = build.model(config)
    bare = build.request(config, model)
    for name, whole in (("near", (2, 4)), ("half", (1, 3, 5))):
        rows = tuple((e not in whole,) * len(model.backbone.sites) for e in range(6))
        plan = CachePlan(model.backbone.sites, bare.solver.times, rows, {"name": name}, whole=dict.fromkeys(whole, (1.0,)))
        write_plan(replace(plan, model=tiny), tmp_path / f"{name}.json")
    for budget, name in ((None, "near"), (0.5, "half"), (0.68, "near")):
        planned = with_plan(bare, AutoCache(budget=budget), model)
        assert planned.plan is not None and planned.plan.provenance["name"] == name
    assert with_plan(bare, AutoCache(budget=0.34), model).plan.provenance["policy"] == "forecast"  # pyright: ignore[reportOptionalMemberAccess]


def test_a_plan_is_made_again_for_other_weights_guidance_or_budget_and_when_its_file_is_damaged(tiny: str, tmp_path: Path) -> None:
    titles = Titles()
    for name in ("a", "b"):
        spec = registry.SPECS[tiny]
        torch.manual_seed(ord(name))
        state = {key: torch.randn_like(value) / 4 for key, value in registry.build(spec).state_dict().items()}
        checkpoints.save(state, tmp_path / f"{name}.safetensors", model=tiny, params=spec.params)
    wanted = [("a", 2.0, 0.5), ("a", 2.0, 0.5), ("b", 2.0, 0.5), ("a", 1.5, 0.5), ("a", 2.0, 0.7)]

    def planned(name: str, guidance: float, budget: float) -> None:
        config = SampleConfig(model=tiny, weights=str(tmp_path / f"{name}.safetensors"), steps=6, count=2, guidance=guidance)
        model = build.model(config)
        with_plan(build.request(config, model), ForecastCache(budget=budget, samples=2), model, titles)

    for each in wanted:
        planned(*each)
    assert len(titles.seen) == 4
    for file in (Path(os.environ["DITKIT_CACHE"]) / "plans").glob("*.json"):
        file.write_text("{")
    planned(*wanted[-1])
    assert len(titles.seen) == 5


def test_every_other_sample_says_what_is_forecast_and_the_rest_fit_the_weights(tiny: str, weights: str) -> None:
    config = SampleConfig(model=tiny, weights=weights, steps=6, count=2)
    model = build.model(config)
    request, cache = build.request(config, model), ForecastCache(budget=0.5, samples=6)
    trial = calibration_request(6, model, request)
    heard, rest = (replace(trial, labels=trial.labels[first::2], seeds=trial.seeds[first::2]) for first in (0, 1))
    choice = best_choice(choosing(undisturbed(model, heard), model, request.solver, cache.order), 3, 6)
    draft = skipping(choice, model.backbone.sites, request.solver.times)
    plan = with_plan(request, cache, model).plan
    assert plan is not None and dict(plan.whole) == dict(fitted(model, rest, draft, cache.order).plan.whole)


@pytest.mark.parametrize("of", ["evaluations", "branches"])
def test_an_estimate_costs_and_keeps_what_the_calibrated_plan_does(tiny: str, weights: str, of: str) -> None:
    config = SampleConfig(model=tiny, weights=weights, steps=9, count=2)
    model = build.model(config)
    bare, cache = build.request(config, model), ForecastCache(budget=0.5, samples=2, of=of, order=3)
    made, estimated = with_plan(bare, cache, model), with_estimated_plan(bare, cache, model)
    assert share(model, made) == share(model, estimated)
    assert costs.cache_bytes(model, made) == costs.cache_bytes(model, estimated) > 0


def test_a_budget_that_allows_no_evaluation_says_the_least(tiny: str, weights: str) -> None:
    config = SampleConfig(model=tiny, weights=weights, steps=6, count=2)
    model = build.model(config)
    request = build.request(config, model)
    with pytest.raises(ConfigError) as caught:
        with_plan(request, ForecastCache(budget=0.05, samples=2), model)
    assert str(caught.value) == "a budget of 0.05 cannot be met: of 6 evaluations at least one is made, 0.167"
    sites, every = model.backbone.sites, model.backbone.multiply_adds()
    least = 1 - 5 / 6 * sum(every[site] for site in sites) / sum(every.values())
    for cache in (EveryCache(budget=0.05), ForecastCache(budget=0.05, samples=2, of="branches")):
        with pytest.raises(ConfigError) as caught:
            with_plan(request, cache, model)
        assert str(caught.value) == f"a budget of 0.05 cannot be met: with the branches of one evaluation computed it is {least:.3f}"


def test_auto_says_so_when_it_has_to_calibrate(tiny: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SHIPPED", tmp_path)
    config = SampleConfig(model=tiny, weights=weights, steps=8, count=2)
    model, titles = build.model(config), Titles()
    bare = build.request(config, model)
    planned = with_plan(bare, AutoCache(), model, titles)
    assert titles.seen == ["no shipped plan fits this run, calibrating one"]
    kept = list((Path(os.environ["DITKIT_CACHE"]) / "plans").glob("*.json"))
    assert len(kept) == 1 and titles.notes == [f"the plan is kept in {kept[0]}"]
    again = with_plan(bare, AutoCache(), model, titles).plan
    assert again is not None and planned.plan is not None and to_data(again) == to_data(planned.plan)
    assert len(titles.seen) == 1, "a second run does not calibrate again"
    assert planned.plan.model == tiny and planned.plan.weights == model.origin["sketch"]
    estimated = with_estimated_plan(bare, AutoCache(), model)
    assert estimated.plan is not None and abs(share(model, estimated) - 0.7) <= 0.5 / 8
    with pytest.raises(RequestError, match="once the plan is calibrated; for an estimate say cache.budget in place of cache.threshold$"):
        with_estimated_plan(bare, SimilarityCache(threshold=0.1), model)


def test_a_plan_that_cannot_be_kept_is_used_all_the_same(tiny: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("DITKIT_CACHE", str(tmp_path / "home" / "cache"))
    model, titles = build.model(config := SampleConfig(model=tiny, weights=weights, steps=6, count=2)), Titles()
    planned = with_plan(build.request(config, model), ForecastCache(budget=0.5, samples=2), model, titles)
    assert planned.plan is not None and planned.plan.whole
    assert len(titles.notes) == 1 and titles.notes[0].endswith("the plan is used, but not kept: DITKIT_CACHE=FOLDER says where it could be")


@pytest.mark.parametrize("path", sorted(plans.SHIPPED.glob("*.json")), ids=lambda path: path.stem)
def test_every_shipped_plan_fits_the_model_that_it_names(path: Path) -> None:
    plan = read_plan(path)
    assert plan.model and plan.solver and plan.weights
    model = build.model(SampleConfig(model=plan.model))
    solver = build.solver(AutoSampler(), model.spec, plan.evaluations, reusing=True)
    known = {"model": plan.model, "weights": model.origin["sketch"], "solver": solver.name}
    plan.check_fits(model.backbone.sites, solver.times, **known)


def test_clouds_are_made_with_noise_on_the_way_but_for_what_is_forecast() -> None:
    model = build.model(SampleConfig(model="dit3d-shapes"))
    names = [build.request(SampleConfig(model="dit3d-shapes", cache=cache), model).solver.name for cache in (NoCache(), AutoCache())]
    assert names == ["dpm-solver++ with eta 1", "dpm-solver++"]
    chosen = SampleConfig(model="dit3d-shapes", cache=AutoCache(), sampler=DPMSolverPPConfig(eta=0.5))
    assert build.request(chosen, model).solver.name == "dpm-solver++ with eta 0.5"


def test_every_default_model_has_a_near_lossless_plan_and_one_of_half_the_cost() -> None:
    speeds: dict[tuple[str | None, int], dict[str, float]] = {}
    for plan in map(read_plan, plans.SHIPPED.glob("*.json")):
        if speed := plan.provenance.get("speed"):
            speeds.setdefault((plan.model, plan.evaluations), {})[speed] = 1 - len(plan.whole) / plan.evaluations
    assert set(speeds) == {(name, steps) for name in ("dit-emoji", "uvit-emoji") for steps in (20, 50)} | {
        ("pixart-emoji", 20),
        ("dit3d-shapes", 25),
    }
    assert all(0.65 < kept["near"] <= 0.8 and 0.45 < kept["half"] <= 0.5 for kept in speeds.values())
    thirds = {run: kept["third"] for run, kept in speeds.items() if "third" in kept}
    assert set(thirds) == {("dit-emoji", 20), ("dit-emoji", 50), ("uvit-emoji", 20), ("dit3d-shapes", 25)} and all(
        0.33 < kept <= 0.36 for kept in thirds.values()
    )
