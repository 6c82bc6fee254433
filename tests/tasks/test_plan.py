"""`ditkit plan`: showing, importing and comparing plans."""

import json
from pathlib import Path

import pytest
import torch

from ditkit.cache.plan import read_plan, write_plan
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


def test_a_router_becomes_a_plan_of_its_model(tmp_path: Path) -> None:
    report = task.import_plan(_router(tmp_path / "r.pth"), str(tmp_path / "plan.json"), threshold=0.1, model="dit-emoji")
    plan = read_plan(tmp_path / "plan.json")
    assert (plan.model, plan.solver, plan.times) == ("dit-emoji", "ddim", (999.0, 666.0, 333.0, 0.0))
    assert [all(row) for row in plan.compute] == [True, False, True, False]
    assert report.data == {"reused": 0.5}


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
