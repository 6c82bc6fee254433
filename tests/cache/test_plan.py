"""Plans: as files, as policies make them, and refused in words when they do not fit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ditkit.cache.plan import CachePlan, read_plan, write_plan
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
