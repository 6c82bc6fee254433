"""Plans: as files, as policies make them, and refused in words when they do not fit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ditkit.cache.forecast import HELD
from ditkit.cache.plan import CachePlan, from_data, read_plan, to_data, write_plan
from ditkit.cache.policies import every, everything
from ditkit.errors import ConfigError, PlanMismatch
from ditkit.execution import Site
from ditkit.files.sketch import sketch

SITES = tuple(Site(block, branch) for block in range(3) for branch in ("attn", "mlp"))
TIMES = (999.0, 666.0, 333.0, 0.0)
ONE, OTHER = ({"w": torch.randn(50, generator=torch.Generator().manual_seed(seed))} for seed in (0, 1))


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan = every(3, SITES, TIMES)
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


def test_what_a_plan_was_made_for_survives_its_file(tmp_path: Path) -> None:
    made = replace(every(3, SITES, TIMES), model="dit-emoji", weights=sketch(ONE), solver="ddim", quality={"latent error": 0.1})
    write_plan(made, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == made


def test_a_plan_for_another_model_solver_or_weights_is_refused() -> None:
    plan = replace(every(2, SITES, TIMES), model="dit-emoji", weights=sketch(ONE), solver="ddim")
    plan.check_fits(SITES, TIMES)
    plan.check_fits(SITES, TIMES, model="dit-emoji", weights=sketch(ONE), solver="ddim")
    for known, line in (
        ({"model": "dit-s-2-256"}, "the plan was made for dit-emoji, not for dit-s-2-256"),
        ({"solver": "ddpm"}, "the plan was made for the solver ddim, not for ddpm"),
        ({"weights": sketch(OTHER)}, "the plan was made for other weights of dit-emoji; make one for these"),
    ):
        with pytest.raises(PlanMismatch) as caught:
            plan.check_fits(SITES, TIMES, **known)
        assert str(caught.value) == line


def test_a_plan_file_has_a_line_per_evaluation(tmp_path: Path) -> None:
    write_plan(every(2, SITES, TIMES), tmp_path / "plan.json")
    lines = [line for line in (tmp_path / "plan.json").read_text().splitlines() if "compute" in line]
    assert lines[1] == '    {"time": 666.0, "compute": "000000"},'
    assert len(lines) == 4


FORECAST = CachePlan(
    SITES,
    TIMES,
    ((True,) * 6, (True, False, False, True, True, True), (False,) * 6, (True, True, False, True, False, True)),
    {"policy": "forecast"},
    forecast={(1, 1): (1.25,), (3, 4): (1.5, -0.5), (3, 2): (1.0, 0.0, 0.0)},
    whole={2: (1.9, -0.9)},
)


def test_a_plan_with_forecasts_survives_its_file(tmp_path: Path) -> None:
    write_plan(FORECAST, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == FORECAST
    lines = (tmp_path / "plan.json").read_text().splitlines()
    assert lines[-6:-2] == [
        '    {"time": 999.0, "compute": "111111"},',
        '    {"time": 666.0, "compute": "1f0111", "forecast": [[1.25]]},',
        '    {"time": 333.0, "whole": [1.9, -0.9]},',
        '    {"time": 0.0, "compute": "1101f1", "forecast": [[1.5, -0.5]]}',
    ]


def test_a_plan_without_forecasts_is_written_as_older_releases_read_it(tmp_path: Path) -> None:
    for plan, version in ((every(3, SITES, TIMES), 1), (FORECAST, 2)):
        write_plan(plan, tmp_path / "plan.json")
        assert json.loads((tmp_path / "plan.json").read_text())["version"] == version


def test_a_forecast_of_weights_1_0_0_is_held() -> None:
    plan = every(2, SITES, TIMES)
    assert replace(plan, forecast={(1, column): (1.0, 0.0, 0.0) for column in range(6)}) == plan
    assert FORECAST.cell(3, 2) == HELD and FORECAST.cell(2, 2) is None


def _row(number: int, **row: object) -> dict[str, object]:
    """FORECAST's data with another row in that place."""
    data = to_data(FORECAST)
    data["rows"][number] = {"time": TIMES[number], **row}
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_row(0, whole=[1.0]), "x: the plan reuses a branch at the first evaluation, before anything was computed"),
        (_row(0, compute="f11111", forecast=[[1.0]]), "x: the plan reuses a branch at the first evaluation, before anything was computed"),
        (_row(1, whole=[1.5, -0.5]), "x: the forecast of the network in row 1 remembers 2 outputs, where 1 were computed before it"),
        (
            _row(1, compute="f11111", forecast=[[1.5, -0.5]]),
            "x: the forecast of 0.attn in row 1 remembers 2 outputs, where 1 were computed before it",
        ),
        (
            _row(1, compute="f11111", forecast=[[float("nan")]]),
            "x: the forecast of 0.attn in row 1 has a weight that is not a finite number",
        ),
        (_row(1, whole=[float("inf")]), "x: the forecast of the network in row 1 has a weight that is not a finite number"),
        (_row(3, whole=[1.0, 2.0, 3.0, 4.0]), "x: the forecast of the network in row 3 has 4 weights; at most 3 outputs are remembered"),
        (_row(1, compute="f1f111", forecast=[[1.0]]), "x is not a ditkit plan: row 1 forecasts 2 branches and has weights for 1"),
        (_row(1, whole=[]), "x is not a ditkit plan: a forecast is a list of 1 to 3 numbers, not []"),
        (_row(1, whole=["1"]), 'x is not a ditkit plan: a forecast is a list of 1 to 3 numbers, not ["1"]'),
        (_row(1, whole=[1.0], compute="111111"), "x is not a ditkit plan: row 1 is forecast as a whole and computes branches too"),
        (_row(1, compute="2f1111", forecast=[[1.0]]), "x is not a ditkit plan: a row may hold only 0, 1 and f, not '2f1111'"),
        (_row(1, compute="f11111", forecast=[[1.0]]) | {"version": 1}, "x is not a ditkit plan: a row may hold only 0 and 1, not 'f11111'"),
    ],
)
def test_forecasts_that_cannot_be_are_refused_in_words(data: object, message: str) -> None:
    with pytest.raises(PlanMismatch) as caught:
        from_data(data, "x")
    assert str(caught.value) == message


def test_a_plan_with_forecasts_for_another_grid_or_other_weights_is_refused() -> None:
    made = replace(FORECAST, model="dit-emoji", weights=sketch(ONE))
    with pytest.raises(PlanMismatch, match="the plan was made for another time grid: row 1"):
        made.check_fits(SITES, [999.0, 650.0, 333.0, 0.0])
    with pytest.raises(PlanMismatch, match="the plan was made for other weights of dit-emoji; make one for these"):
        made.check_fits(SITES, TIMES, weights=sketch(OTHER))


def test_the_reused_share_counts_cells() -> None:
    assert everything(SITES, TIMES).reused == 0
    assert every(2, SITES, TIMES).reused == 0.5
    assert every(4, SITES, TIMES).reused == 0.75


def test_a_period_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="cache.period must be at least 1, not 0"):
        every(0, SITES, TIMES)


def test_a_plan_that_reuses_before_it_computed_is_refused() -> None:
    with pytest.raises(PlanMismatch, match="reuses a branch at the first evaluation"):
        CachePlan(SITES, TIMES[:1], ((True, True, False, True, True, True),))


def test_a_plan_for_another_run_is_refused_with_both_numbers() -> None:
    plan = every(2, SITES, TIMES)
    plan.check_fits(SITES, [999.0, 666.0004, 333.0, 0.0])
    with pytest.raises(PlanMismatch, match=r"for a model with 6 sites \(0.attn to 2.mlp\), this one has 4 \(0.attn to 1.mlp\)"):
        plan.check_fits(SITES[:4], TIMES)
    with pytest.raises(PlanMismatch, match="covers 4 evaluations, this run makes 3; use --steps 4"):
        plan.check_fits(SITES, TIMES[:3])
    with pytest.raises(PlanMismatch, match="another time grid: row 1 is for time 666, this run evaluates at 650"):
        plan.check_fits(SITES, [999.0, 650.0, 333.0, 0.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, 'it has no "format": "ditkit-plan"'),
        ({"version": 99}, "has plan version 99; this ditkit reads version 1"),
        ({"rows": [{"time": 1.0, "compute": "12"}]}, "a row may hold only 0 and 1, not '12'"),
        ({"rows": [{"time": 1.0}]}, "is not a ditkit plan: it lacks 'compute'"),
        ({"sites": ["nonsense"]}, "is not a ditkit plan: "),
    ],
)
def test_a_file_that_is_no_plan_says_why(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "plan.json"
    write_plan(every(2, SITES, TIMES), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PlanMismatch, match=message):
        read_plan(path)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanMismatch, match="cannot read the plan"):
        read_plan(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(PlanMismatch, match="is not a plan"):
        read_plan(tmp_path / "broken.json")
