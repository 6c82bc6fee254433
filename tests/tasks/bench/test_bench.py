"""What a bench says is what its contenders did."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ditkit.cache.plan import read_plan, write_plan
from ditkit.cache.policies import random
from ditkit.config.compose import compose
from ditkit.config.schema import BenchConfig, DDIMConfig, DDPMConfig, option
from ditkit.diffusion.schedule import named
from ditkit.diffusion.solvers import SOLVERS
from ditkit.errors import ConfigError, PlanMismatch, RequestError, ScheduleError, UnknownName
from ditkit.models import checkpoints, registry
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench
from ditkit.tasks.bench.contenders import contenders, share
from ditkit.tasks.shared import build
from tests.closeness import evaluated, near, tolerance
from tests.models.tiny import drawn


def _run(model: str, weights: str, out: Path, **changes: object):
    values = {"steps": 6, "count": 4, "batch": 2, "policies": ["every", "random:0.9"], "fewer": [2], **changes}
    return bench.run(BenchConfig(model=model, weights=weights, out=str(out), **values), NoProgress())  # pyright: ignore[reportArgumentType]


def _plan(model: str, out: Path, evaluations: int = 6) -> Path:
    spec = registry.SPECS[model]
    backbone = registry.build(spec)
    times = SOLVERS[spec.defaults.solver](named(spec.schedule), evaluations).times
    write_plan(random(0.8, 3, range(1, evaluations, 2), backbone.sites, times, backbone.multiply_adds()), out)
    return out


def test_every_contender_is_compared_with_the_uncached_run(tiny: str, weights: str, tmp_path: Path) -> None:
    plan = _plan(tiny, tmp_path / "mine.json")
    report = _run(tiny, weights, tmp_path / "bench", plans=[str(plan)])
    scores = {score["name"]: score for score in report.data["scores"]}
    assert list(scores) == ["uncached", "mine", "every", "random", "2 evaluations"]
    assert scores["uncached"]["error"] == 0 and scores["uncached"]["speedup"] == 1
    assert all(score["error"] > 0 for name, score in scores.items() if name != "uncached")
    assert scores["2 evaluations"]["kept"] == near(2 / 6)
    assert 0.75 < scores["mine"]["kept"] <= 0.8 and 0.8 < scores["random"]["kept"] <= 0.9
    assert abs(scores["every"]["kept"] - scores["mine"]["kept"]) <= 0.5 / 6 + 1e-9  # as near as whole evaluations come
    low, high = scores["random"]["behind"]
    assert low <= scores["random"]["error"] - scores["mine"]["error"] <= high
    assert scores["mine"]["behind"] is None and scores["uncached"]["cache_bytes"] == 0 < scores["mine"]["cache_bytes"]
    assert [len(row) for row in report.rows] == [len(report.columns)] * 5


def test_whoever_costs_as_much_is_compared_with_the_same_plan_in_both_distances(tiny: str, weights: str, tmp_path: Path) -> None:
    changes = {"policies": ["forecast:0.67", "forecast:0.33", "every:0.33"], "fewer": [2, 4], "converged": 2}
    if tiny == "tiny-sit":
        changes["converged"] = 0
    scores = {score["name"]: score for score in _run(tiny, weights, tmp_path, **changes).data["scores"]}
    beside = {name: score["compared"] for name, score in scores.items()}
    cheap, dear = "forecast 0.33", "forecast 0.67"
    assert beside == {"uncached": None, dear: None, cheap: None, "every": cheap, "2 evaluations": cheap, "4 evaluations": dear}
    for name, other in beside.items():
        for mine, behind in (("error", "behind"), ("converged", "behind_converged")):
            if other and scores[name][mine] is not None:
                low, high = scores[name][behind]
                assert low <= scores[name][mine] - scores[other][mine] <= high


def test_the_numbers_the_plot_and_the_page_are_written_with_the_command_that_makes_them_again(
    tiny: str, weights: str, tmp_path: Path
) -> None:
    report = _run(tiny, weights, tmp_path / "bench")
    written = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert written["scores"] == json.loads(json.dumps(report.data["scores"]))
    assert (tmp_path / "bench" / "pareto.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "bench" / "report.html").read_text()
    assert "2 evaluations" in page and "every" in page and "http://" not in page.replace("http://www.w3.org", "")
    program, command, model, *overrides = shlex.split(written["command"])
    assert (program, command, model) == ("ditkit", "bench", tiny)
    again = compose(BenchConfig, [f"model={model}", *overrides])
    assert (again.steps, again.count, again.policies, again.fewer, again.out) == (
        6,
        4,
        ["every", "random:0.9"],
        [2],
        str(tmp_path / "bench"),
    )


def test_errors_are_measured_to_the_uncached_and_to_the_converged_run(tiny: str, weights: str, tmp_path: Path) -> None:
    report = _run(tiny, weights, tmp_path / "bench", policies=["forecast:0.5", "l2p:0.5"], converged=3)
    scores = {score["name"]: score for score in report.data["scores"]}
    assert list(scores) == ["uncached", "forecast", "l2p", "2 evaluations"]
    assert scores["forecast"]["kept"] == scores["l2p"]["kept"] == near(0.5)
    assert scores["forecast"]["errors"] != scores["l2p"]["errors"]
    for score in scores.values():
        assert len(score["errors"]) == len(score["errors_converged"]) == 4
        assert score["converged"] == near(sum(score["errors_converged"]) / 4, dtype=torch.float32)
    assert scores["uncached"]["error"] == 0 < scores["uncached"]["converged"]
    assert "converged" in report.columns and [len(row) for row in report.rows] == [len(report.columns)] * 4


def test_no_run_converges_to_one_of_other_noise(tiny: str, weights: str, tmp_path: Path) -> None:
    sampler = option("sampler", "euler-maruyama") if tiny == "tiny-sit" else DDPMConfig(variance="fixedsmall")
    report = _run(tiny, weights, tmp_path / "bench", policies=["every"], sampler=sampler)
    assert "converged" not in report.columns and report.data["scores"][0]["converged"] is None


def test_another_solver_with_fewer_evaluations_takes_part(tiny: str, weights: str, tmp_path: Path) -> None:
    report = _run(tiny, weights, tmp_path / "bench", policies=[], against=["dpm-solver++"], converged=0)
    assert [score["name"] for score in report.data["scores"]] == ["uncached", "2 evaluations", "2 of dpm-solver++"]
    assert report.data["scores"][2]["kept"] == near(2 / 6)


def test_without_a_plan_the_baselines_cost_the_default_budget(tiny: str, weights: str, tmp_path: Path) -> None:
    report = _run(tiny, weights, tmp_path / "bench", steps=10, fewer=[], policies=["top"])
    kept = {score["name"]: score["kept"] for score in report.data["scores"]}
    assert kept["7 evaluations"] == near(0.7)
    assert 0.6 < kept["top"] <= 0.7


def test_where_plans_ship_the_rules_cost_what_the_one_does_that_only_holds() -> None:
    config = BenchConfig(model="uvit-emoji", steps=20, count=2, policies=["random", "top", "bottom"], fewer=[5])
    entries = contenders(config, build.model(config, NoProgress()), NoProgress())
    kept = {entry.name: share(entry.model, entry.request) for entry in entries if entry.request.plan}
    assert {"forecast 0.50", "l2c", "random", "top", "bottom"} <= kept.keys()
    assert all(kept["l2c"] - 0.01 < kept[rule] <= kept["l2c"] for rule in config.policies)


def test_for_a_small_budget_a_rule_reuses_branches_at_more_evaluations(tiny: str, weights: str) -> None:
    config = BenchConfig(model=tiny, weights=weights, steps=10, count=2, policies=["random:0.4", "top:0.4", "bottom:0.4"], fewer=[5])
    entries = contenders(config, build.model(config, NoProgress()), NoProgress())
    assert all(0.3 < share(entry.model, entry.request) <= 0.4 for entry in entries if entry.request.plan)
    with pytest.raises(ConfigError, match=r"^a budget of 0.01 cannot be met: .*; raise the budget or the period$"):
        contenders(replace(config, policies=["random:0.01"]), entries[0].model, NoProgress())


def test_fewer_evaluations_that_the_time_grid_cannot_have_take_no_part(weights: str, tiny: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"steps": 10, "fewer": [], "policies": ["top"], "sampler": DDIMConfig(grid="10")}
    if tiny == "tiny-sit":  # a flow has no numbered levels, so there is no such grid
        with pytest.raises(ScheduleError, match="a time grid is 'even'"):
            _run(tiny, weights, tmp_path / "bench", **given)
        return
    report = _run(tiny, weights, tmp_path / "bench", **given)
    assert [score["name"] for score in report.data["scores"]] == ["uncached", "top"]
    with pytest.raises(ScheduleError):
        _run(tiny, weights, tmp_path / "asked", **given | {"fewer": [7]})


@pytest.mark.parametrize("peer", ["diffusers"])
def test_another_engine_on_the_same_weights_ends_where_ours_ends(weights: str, tiny: str, tmp_path: Path, peer: str) -> None:
    if tiny != "tiny-dit":
        with pytest.raises(RequestError, match="DiT"):
            _run(tiny, weights, tmp_path / "bench", against=[peer])
        return
    report = _run(tiny, weights, tmp_path / "bench", against=[peer], policies=[], fewer=[3])
    scores = {score["name"]: score for score in report.data["scores"]}
    assert scores["diffusers"]["kept"] == 1
    spec = registry.find(tiny)
    roundings = evaluated(registry.build(spec), 6, spec.defaults.guidance, foreign=True)
    assert scores["diffusers"]["error"] < tolerance(1, roundings, torch.float32)


def test_what_cannot_be_compared_is_refused_before_any_work(tiny: str, weights: str, tmp_path: Path) -> None:
    plan = _plan(tiny, tmp_path / "mine.json", evaluations=8)
    assert read_plan(plan).evaluations == 8
    with pytest.raises(PlanMismatch, match="covers 8 evaluations, this run makes 6"):
        _run(tiny, weights, tmp_path / "bench", plans=[str(plan)])
    with pytest.raises(RequestError, match="at least 2 images"):
        _run(tiny, weights, tmp_path / "bench", count=1)
    with pytest.raises(RequestError, match="knows the emoji classes only"):
        _run(tiny, weights, tmp_path / "bench", reference="sprites.npz")
    with pytest.raises(UnknownName, match="no policy named 'evry'; did you mean 'every'"):
        _run(tiny, weights, tmp_path / "bench", policies=["evry"])
    with pytest.raises(ConfigError, match="cannot read the budget of 'every:half'"):
        _run(tiny, weights, tmp_path / "bench", policies=["every:half"])
    with pytest.raises(UnknownName, match="no engine named 'difusers'; did you mean 'diffusers'"):
        _run(tiny, weights, tmp_path / "bench", against=["difusers"])
    assert not (tmp_path / "bench").exists()


def test_clouds_are_compared_by_their_distance_to_the_uncached_ones(tiny3d: str, tmp_path: Path) -> None:
    spec = registry.SPECS[tiny3d]
    checkpoints.save(drawn(registry.build(spec)).state_dict(), tmp_path / "w.safetensors", model=tiny3d, params=spec.params)
    report = _run(tiny3d, str(tmp_path / "w.safetensors"), tmp_path / "bench")
    assert "CD x 1000" in report.columns and "PSNR" not in report.columns
    scores = {score["name"]: score for score in report.data["scores"]}
    assert scores["uncached"]["chamfer"] == 0 and scores["uncached"]["psnr"] is None
    assert all(score["chamfer"] > 0 for name, score in scores.items() if name != "uncached")
    with pytest.raises(RequestError, match="tiny-dit3d makes point clouds"):
        _run(tiny3d, str(tmp_path / "w.safetensors"), tmp_path / "peers", against=["diffusers"])
