"""Runs that are there are shown with all that is known of them, and nothing outside their folder is."""

import json
from pathlib import Path

import pytest

from ditkit.cache.plan import to_data
from ditkit.cache.policies import every
from ditkit.execution import Site
from ditkit.ui.heatmap import heatmap
from ditkit.ui.runs import Runs

PLAN = every(2, (Site(0, "attn"), Site(0, "mlp")), (3.0, 2.0, 1.0))


@pytest.fixture
def tab(queue, served) -> Runs:
    return Runs(queue, served)


def test_runs_stand_side_by_side_with_their_facts_and_how_to_repeat_them(tab, made):
    for name in ("a", "b"):
        made(tab.served.root / name, 2, images=[{"class": "<i>fox</i>", "seed": seed} for seed in (0, 1)])
    (tab.served.root / "a" / "report.html").write_text("<p>")
    shown = str(tab.show(["a", "b"]))
    assert "alt='a: <i>fox</i>, seed 0'" in shown and f"ditkit sample --from {tab.served.root}/b" in shown
    assert shown.count("Iframe") == 1 and "the report of a" in shown and set(tab.look()) == {"a", "b"}


def test_a_plan_is_shown_and_said(tab, made):
    made(tab.served.root / "a", 0, request={"seeds": [0], "plan": to_data(PLAN)})
    assert "cache plan: computes 2 of 3 evaluations whole" in str(tab.show(["a"]))
    (cells,) = heatmap(PLAN).data
    assert [list(row) for row in cells.text] == [["computed", "held", "computed"]] * 2 and list(cells.y) == ["0.attn", "0.mlp"]


@pytest.mark.parametrize("name", ["../secret", "/etc", "a/../../secret"])
def test_a_run_elsewhere_is_refused(tab, tmp_path: Path, made, name):
    made(tmp_path / "secret", 1)
    shown = str(tab.show([name]))
    assert "is not in" in shown and "manifest" not in shown


def test_a_manifest_that_cannot_be_read_is_no_trouble(tab):
    (tab.served.root / "a").mkdir(parents=True)
    (tab.served.root / "a" / "manifest.json").write_text("{")
    (tab.served.root / "a" / "plan.json").write_text(json.dumps({"format": "else"}))
    assert "note error" in str(tab.show(["a"]))
