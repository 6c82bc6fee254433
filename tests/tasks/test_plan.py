"""`ditkit plan`: showing, importing and comparing plans."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ditkit.cache.plan import CachePlan, read_plan, write_plan
from ditkit.cache.policies import every
from ditkit.errors import ConfigError, DitkitError, PlanMismatch
from ditkit.models import registry
from ditkit.models.blank import blank
from ditkit.tasks import plan as task

SITES = blank(registry.find("dit-emoji").params).sites


def _router(path: Path, evaluations: int = 4, sites: int = len(SITES)) -> str:
    torch.save({f"{index}.prob": torch.full((sites,), -9.0) for index in range(evaluations)}, path)
    return str(path)


def test_a_plan_is_shown_a_row_per_evaluation(tmp_path: Path) -> None:
    write_plan(every(2, SITES, (999.0, 0.0)), tmp_path / "plan.json")
    report = task.show(str(tmp_path / "plan.json"), str(tmp_path / "plan.png"))
    assert list(report.rows) == [["999.00", "#" * 12, "#" * 12, "0%"], ["0.00", "." * 12, "." * 12, "100%"]]
    assert report.facts["reused"] == "50.00% of all branches"
    assert (tmp_path / "plan.png").read_bytes()[:4] == b"\x89PNG"


def _forecast(path: Path) -> str:
    """Computed, branches forecast in part, forecast as a whole, computed."""
    few = (True, *(False,) * (len(SITES) - 1))
    rows = ((True,) * len(SITES), (True,) * len(SITES), few, (False,) * len(SITES))
    cells = {(2, column): (1.5, -0.5) for column in range(1, 12)}
    write_plan(CachePlan(SITES, (3.0, 2.0, 1.0, 0.0), rows, forecast=cells, whole={3: (1.9, -0.9)}), path)
    return str(path)


def test_a_plan_with_forecasts_is_shown_in_a_sentence_and_in_letters(tmp_path: Path) -> None:
    report = task.show(_forecast(tmp_path / "plan.json"))
    assert report.notes == [
        "computes 2 of 4 evaluations whole, forecasts 1 as a whole from the last 2 outputs, the network not being called "
        "and in 1 of their branches computes 4%, forecasts 46% from the last 2 outputs and holds 50%",
        "# computed, . reused, ~ forecast, _ network not called; blocks from left to right",
    ]
    assert report.rows[2] == ["1.00", "#~~~~~......", "~~~~~~......", "96%", "of 11 branches"]
    assert report.rows[3] == ["0.00", "_" * 12, "_" * 12, "100%", "+1.900 -0.900"]


def test_a_plan_is_exported_as_the_mask_of_cache_dit(tmp_path: Path) -> None:
    report = task.export(_forecast(tmp_path / "plan.json"), "cache-dit", str(tmp_path / "mask.json"))
    assert json.loads((tmp_path / "mask.json").read_text()) == {"steps_computation_mask": [1, 1, 0, 0]}
    assert report.facts["computed"] == "2 of 4 steps" and "the weights stay behind" in report.notes[-1]
    with pytest.raises(DitkitError, match="mask.json exists already; remove it or choose another name"):
        task.export(str(tmp_path / "plan.json"), "cache-dit", str(tmp_path / "mask.json"))
    with pytest.raises(DitkitError, match="no library named 'cachedit'; did you mean 'cache-dit'"):
        task.export(str(tmp_path / "plan.json"), "cachedit", str(tmp_path / "other.json"))
    assert not (tmp_path / "other.json").exists()


def test_plans_that_differ_in_weights_alone_differ(tmp_path: Path) -> None:
    first = _forecast(tmp_path / "a.json")
    write_plan(replace(read_plan(Path(first)), whole={3: (1.8, -0.8)}), tmp_path / "b.json")
    report = task.diff(first, str(tmp_path / "b.json"))
    assert list(report.rows) == [] and report.facts["weights differ in"] == "1 of 12 forecasts"


def test_a_router_becomes_a_plan_of_its_model(tmp_path: Path) -> None:
    report = task.import_plan(_router(tmp_path / "r.pth"), str(tmp_path / "plan.json"), threshold=0.1, model="dit-emoji")
    plan = read_plan(tmp_path / "plan.json")
    assert (plan.model, plan.solver, plan.times) == ("dit-emoji", "ddim", (999.0, 666.0, 333.0, 0.0))
    assert [all(row) for row in plan.compute] == [True, False, True, False]
    assert report.data == {"reused": 0.5}


def _published(path: Path, branches: int, **options: object) -> str:
    """A router as its training writes it, with its options beside it; scores of 0.5 after the sigmoid."""
    state = {f"{index}.prob": torch.zeros(branches) for index in range(4)}
    torch.save({"routers": state, "args": argparse.Namespace(**options)} if options else state, path)
    return str(path)


@pytest.mark.parametrize(
    ("branches", "options", "model", "threshold", "notes"),
    [
        (
            56,
            {"image_size": 512, "model": "DiT-XL/2", "num_sampling_steps": 4},
            "dit-xl-2-512",
            0.1,
            [
                "taken for dit-xl-2-512's: its options say model DiT-XL/2 and image_size 512",
                "computed where the score is above 0.1, as published for dit; --threshold says otherwise",
            ],
        ),
        (56, {"image_size": 256}, "dit-xl-2-256", 0.1, ["taken for dit-xl-2-256's: its options say image_size 256"]),
        (24, {"image_size": 256, "model": "DiT-B/4"}, "dit-b-4-256", 0.1, ["taken for dit-b-4-256's: its options say model DiT-B/4 and "]),
        (56, {"image_size": "512"}, "dit-xl-2-512", 0.1, ["taken for dit-xl-2-512's: its options say image_size 512"]),
        (24, {"model": "DiT-B/4"}, "dit-b-4-256", 0.1, ["taken for dit-b-4-256's: its options say model DiT-B/4"]),
        (58, {}, "uvit-h-2-256", 0.9, ["taken for uvit-h-2-256's: the published routers of 58 branches are; --model says otherwise"]),
        (58, {"image_size": 512}, "uvit-h-4-512", 0.9, ["taken for uvit-h-4-512's: its options say image_size 512"]),
        (56, {}, "dit-xl-2-256", 0.1, ["taken for dit-xl-2-256's: the published routers of 56 branches are; --model says otherwise"]),
    ],
)
def test_whose_a_router_is_and_its_threshold_are_taken_from_the_file_and_said(
    tmp_path: Path, branches: int, options: dict[str, object], model: str, threshold: float, notes: list[str]
) -> None:
    report = task.import_plan(_published(tmp_path / "r.pt", branches, **options), str(tmp_path / "plan.json"))
    plan = read_plan(tmp_path / "plan.json")
    assert (plan.model, plan.provenance["threshold"]) == (model, threshold)
    assert (plan.reused == 0) == (threshold < 0.5)  # every score is one half
    assert len(report.notes) == 2 and all(said.startswith(line) for said, line in zip(report.notes, notes, strict=False))


def test_what_is_said_of_a_router_goes_before_what_its_file_says(tmp_path: Path) -> None:
    router = _published(tmp_path / "r.pt", 56, image_size=512)
    report = task.import_plan(router, str(tmp_path / "plan.json"), threshold=0.7, model="dit-xl-2-256")
    assert list(report.notes) == ["taken for dit-xl-2-256's, although its options say image_size 512"]
    plan = read_plan(tmp_path / "plan.json")
    assert (plan.model, plan.provenance["threshold"]) == ("dit-xl-2-256", 0.7) and plan.reused > 0
    unknown = _published(tmp_path / "u.pt", 56, image_size=1024, model="DiT-XL/2")
    line = "u.pt gates 56 branches and its options say model DiT-XL/2 and image_size 1024; say with --model whose it is"
    with pytest.raises(ConfigError, match=line):
        task.import_plan(unknown, str(tmp_path / "other.json"))
    odd = _published(tmp_path / "o.pt", 56, image_size=[512, 512])
    with pytest.raises(ConfigError, match=r"gates 56 branches and its options say image_size \[512, 512\]; say with --model whose it is"):
        task.import_plan(odd, str(tmp_path / "other.json"))
    other = _published(tmp_path / "s.pt", 56, image_size=256, num_sampling_steps=50)
    with pytest.raises(PlanMismatch, match="contradicts itself: its options say num_sampling_steps 50, and it has 4 vectors"):
        task.import_plan(other, str(tmp_path / "other.json"))


def test_of_two_routers_in_a_file_the_average_is_taken_and_said(tmp_path: Path) -> None:
    raw = {f"{index}.prob": torch.full((56,), -9.0) for index in range(4)}
    torch.save({"routers": raw, "ema": {name: -value for name, value in raw.items()}}, tmp_path / "r.pt")
    report = task.import_plan(str(tmp_path / "r.pt"), str(tmp_path / "plan.json"))
    assert read_plan(tmp_path / "plan.json").reused == 0
    assert report.notes[0].startswith("r.pt holds the weights routers, ema; taken are ema (the average)")


@pytest.mark.parametrize(
    ("name", "model", "reused"), [("DDIM20_router.pt", "dit-xl-2-256", 560 - 312), ("dpm50_router.pth", "uvit-h-2-256", 1392 - 88)]
)
def test_a_published_router_gives_the_published_number_of_branches_by_itself(tmp_path: Path, name: str, model: str, reused: int) -> None:
    file = Path(__file__).parents[3] / "shared" / "data" / "l2c-routers" / name
    if not file.exists():
        pytest.skip("the published routers are not here")
    task.import_plan(str(file), str(tmp_path / "plan.json"))
    plan = read_plan(tmp_path / "plan.json")
    assert (plan.model, sum(row.count(False) for row in plan.compute)) == (model, reused)


def test_nothing_is_imported_over_a_file_or_without_knowing_for_what(tmp_path: Path) -> None:
    router = _router(tmp_path / "r.pth")
    with pytest.raises(ConfigError, match="r.pth gates 24 branches; say with --model whose it is"):
        task.import_plan(router, str(tmp_path / "plan.json"), threshold=0.1)
    with pytest.raises(ConfigError, match="threshold must be between 0 and 1, not 1.5"):
        task.import_plan(router, str(tmp_path / "plan.json"), threshold=1.5, model="dit-emoji")
    with pytest.raises(PlanMismatch, match="the router gates 24 branches, the model has 56"):
        task.import_plan(router, str(tmp_path / "plan.json"), threshold=0.1, model="dit-xl-2-256")
    assert not (tmp_path / "plan.json").exists()
    (tmp_path / "plan.json").write_text("mine")
    with pytest.raises(DitkitError, match="plan.json exists already"):
        task.import_plan(router, str(tmp_path / "plan.json"), threshold=0.1, model="dit-emoji")
    assert (tmp_path / "plan.json").read_text() == "mine"


def test_a_smoothcache_schedule_is_imported_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "schedule.json").write_text(json.dumps({"attn": [1, 0, 1], "mlp": [1, 1, 0]}))
    with pytest.raises(ConfigError, match="say so with --model"):
        task.import_plan(str(tmp_path / "schedule.json"), str(tmp_path / "plan.json"), threshold=0.1)
    task.import_plan(str(tmp_path / "schedule.json"), str(tmp_path / "plan.json"), threshold=0.1, model="dit-emoji", steps=3)
    assert read_plan(tmp_path / "plan.json").compute[1] == (False, True) * 12


def test_the_difference_of_two_plans_names_the_sites(tmp_path: Path) -> None:
    times = (3.0, 2.0, 1.0, 0.0)
    for name, period in (("a", 2), ("b", 3)):
        write_plan(every(period, SITES[:2], times), tmp_path / f"{name}.json")
    report = task.diff(str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert list(report.rows) == [["1.00", "0.attn, 0.mlp", ""], ["0.00", "", "0.attn, 0.mlp"]]
    assert report.facts["differ in"] == "4 of 8 cells, 2 of 4 evaluations"
