"""Published routers and SmoothCache schedules as plans."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from ditkit.cache.imports import plan_from_router, plan_from_smoothcache, read_router
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import ddim, dpm_solver_2
from ditkit.errors import CheckpointError, PlanMismatch
from ditkit.execution import Site
from tests.golden_files import golden

PUBLISHED = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "l2c-routers"


def sites(blocks: int) -> tuple[Site, ...]:
    return tuple(Site(block, branch) for block in range(blocks) for branch in ("attn", "mlp"))


@pytest.mark.parametrize(
    ("pattern", "family", "threshold", "active", "gated"),
    [
        ("*ddim20*", "dit", 0.1, 312, 560),
        ("*ddim50*", "dit", 0.1, 736, 1400),
        ("*dpm*20*", "uvit", 0.9, 189, 522),
        ("*dpm*50*", "uvit", 0.9, 88, 1392),
    ],
)
def test_the_published_routers_keep_as_many_branches_as_published(
    pattern: str, family: str, threshold: float, active: int, gated: int
) -> None:
    files = [file for file in sorted(PUBLISHED.rglob("*.pt*")) if Path(file.name.lower()).match(pattern)]
    if not files:
        pytest.skip("the published routers are not here")
    routers = read_router(files[0]).vectors
    solver = ddim(linear(), len(routers)) if family == "dit" else dpm_solver_2(scaled_linear(), len(routers))
    plan = plan_from_router(routers, family, sites(len(routers[0]) // 2), solver.times, threshold, {})
    cached = [row for index, row in enumerate(plan.compute) if (index % 2 == 1 if family == "dit" else index % 2 == 0 and index)]
    assert (sum(map(sum, cached)), len(cached) * len(plan.sites)) == (active, gated)
    assert all(all(row) for index, row in enumerate(plan.compute) if (index % 2 == (0 if family == "dit" else 1)))


def test_dits_executed_branches_are_the_published_ones() -> None:
    tensors = golden("l2c_dit_infer20")
    routers = tuple(tensors[f"router.{index}.prob"] for index in range(20))
    plan = plan_from_router(routers, "dit", sites(4), ddim(linear(), 20).times, 0.1, {})
    assert plan.compute == tuple(tuple(row) for row in tensors["out.executed_mask"].bool().tolist())


def test_uvits_executed_branches_are_the_published_ones() -> None:
    tensors = golden("l2c_uvit_infer20")
    routers = tuple(tensors[f"router.{index}.prob"] for index in range(20))
    plan = plan_from_router(routers, "uvit", sites(5), dpm_solver_2(scaled_linear(), 20).times, 0.9, {})
    mask = tensors["out.executed_mask"].bool()
    for half in (0, 1):  # a row per call: cond, then uncond, of each evaluation
        assert plan.compute == tuple(tuple(row) for row in mask[half::2].tolist())


def test_an_odd_number_of_evaluations_starts_with_two_full_ones() -> None:
    plan = plan_from_router([torch.full((4,), -9.0)] * 5, "dit", sites(2), (4.0, 3.0, 2.0, 1.0, 0.0), 0.5, {})
    assert [all(row) for row in plan.compute] == [True, True, False, True, False]


def test_a_router_in_its_published_wrapping_is_read(tmp_path: Path) -> None:
    state = {f"{index}.prob": torch.randn(6) for index in range(4)}
    torch.save({"routers": state, "opt": {"state": {}}, "args": Namespace(lr=1e-3)}, tmp_path / "router.pt")
    torch.save(state, tmp_path / "router.pth")
    torch.save({f"module.routers.{name}": value for name, value in reversed(state.items())}, tmp_path / "wrapped.pth")
    for name in ("router.pt", "router.pth", "wrapped.pth"):
        routers = read_router(tmp_path / name).vectors
        assert all(torch.equal(router, state[f"{index}.prob"]) for index, router in enumerate(routers))


def test_what_is_no_router_is_refused(tmp_path: Path) -> None:
    torch.save({"0.prob": torch.randn(6), "2.prob": torch.randn(6)}, tmp_path / "gap.pth")
    with pytest.raises(PlanMismatch, match="is no router of Learning-to-Cache: it should hold 0.prob, 1.prob"):
        read_router(tmp_path / "gap.pth")
    torch.save({"0.prob": torch.randn(6), "1.prob": torch.randn(5)}, tmp_path / "uneven.pth")
    with pytest.raises(PlanMismatch, match="its vectors differ in length"):
        read_router(tmp_path / "uneven.pth")
    torch.save({"0.prob": torch.tensor([0.0, float("nan")])}, tmp_path / "nan.pth")
    torch.save({"a.0.prob": torch.randn(6), "b.1.prob": torch.randn(6)}, tmp_path / "two.pth")
    with pytest.raises(PlanMismatch, match="is no router of Learning-to-Cache: it should hold 0.prob, 1.prob"):
        read_router(tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match="NaN or infinite numbers in 1 of 1 tensors, first in 0.prob"):
        read_router(tmp_path / "nan.pth")
    with pytest.raises(PlanMismatch, match="the router gates 6 branches, the model has 4"):
        plan_from_router([torch.zeros(6)] * 2, "dit", sites(2), (1.0, 0.0), 0.5, {})
    with pytest.raises(PlanMismatch, match="the router is for 2 evaluations, not for 3"):
        plan_from_router([torch.zeros(4)] * 2, "dit", sites(2), (2.0, 1.0, 0.0), 0.5, {})


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


def test_a_router_that_wants_to_run_code_is_refused_unrun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"routers": {"0.prob": torch.zeros(4)}, "args": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="it was refused and nothing of it ran"):
        read_router(tmp_path / "evil.pt")
    assert "ran" not in capsys.readouterr().out


def test_a_smoothcache_schedule_becomes_a_plan(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps({"DiTBlock-attn1": [1, 0, 1], "ff": [1, 1, 0]}))
    plan = plan_from_smoothcache(file, sites(2), (2.0, 1.0, 0.0))
    assert plan.compute == ((True,) * 4, (False, True, False, True), (True, False, True, False))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ([1, 0], "is no SmoothCache schedule"),
        ({"attn": [1, 0]}, "'attn' must be a list of 3 numbers 0 or 1"),
        ({"attn": [1, 0, 2]}, "'attn' must be a list of 3 numbers 0 or 1"),
        ({"attn": [1, 0, 1], "cross": [1, 1, 1]}, "schedules 'cross', which this model does not have; it has attn, mlp"),
        ({"attn": [0, 0, 1]}, "reuses a branch at the first evaluation"),
    ],
)
def test_a_smoothcache_schedule_that_does_not_fit_is_refused(tmp_path: Path, content: object, line: str) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps(content))
    with pytest.raises(PlanMismatch, match=line):
        plan_from_smoothcache(file, sites(2), (2.0, 1.0, 0.0))
