import math

import pytest
import torch

from ditkit.diffusion.flow import FlowPath, gvp_flow, linear_flow, vp_flow
from ditkit.diffusion.schedule import named
from ditkit.diffusion.solvers.stochastic import FORMS
from ditkit.errors import ScheduleError
from tests.closeness import near
from tests.golden_files import assert_within, golden, golden_manifest

PATHS = {"Linear": linear_flow(), "GVP": gvp_flow(), "VP": vp_flow()}
each_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())


@pytest.mark.parametrize("name", PATHS)
def test_paths_are_the_published_ones(name: str) -> None:
    reference, rules = golden("sit_paths"), golden_manifest("sit")["sit_paths"]["tolerance"]["per_tensor_rtol"]

    def compare(key: str, values: list[float]) -> None:
        assert_within(torch.tensor(values, dtype=torch.float64), reference[f"out.{name}.{key}"], rules[f"out.{name}.{key}"])

    times = reference["in.t"].tolist()
    levels = [PATHS[name].level_at(1 - t) for t in times]
    for field in ("alpha", "sigma", "d_alpha", "d_sigma"):
        compare(field, [getattr(level, field) for level in levels])
    compare("drift_var", [FORMS["sbdm"](1.0, level, t) for level, t in zip(levels, times, strict=True)])
    for form, norm in [(form, norm) for form in FORMS for norm in (1.0, 0.7)]:
        published = "SBDM" if form == "sbdm" else form
        compare(f"diffusion.{published}.norm{norm}", [FORMS[form](norm, level, t) for level, t in zip(levels, times, strict=True)])
    x0, x1 = reference["in.x0"].double(), reference["in.x1"].double()
    mixed = torch.stack([level.alpha * x1[i] + level.sigma * x0[i] for i, level in enumerate(levels)])
    assert_within(mixed, reference[f"out.{name}.plan.xt"], rules[f"out.{name}.plan.xt"])


@each_path
def test_rates_are_the_slopes_of_alpha_and_sigma_in_flow_time(path: FlowPath) -> None:
    for u in (0.05, 0.3, 0.7, 0.95):
        here, before, after = (path.level_at(u + step) for step in (0, 1e-6, -1e-6))
        assert here.d_alpha == near((after.alpha - before.alpha) / 2e-6, size=1e6, within=1e-8)
        assert here.d_sigma == near((after.sigma - before.sigma) / 2e-6, size=1e6, within=1e-8)


@each_path
def test_the_clocks_are_inverse_to_each_other(path: FlowPath) -> None:
    for u in (0.001, 0.2, 0.5, 0.9, 0.999):
        assert path.time_at(path.level_at(u).lam) == near(u, size=1e4)
    assert path.network_time(1.0) == 1000 and path.network_time(0.25) == 250


@pytest.mark.parametrize("name", ["linear-flow", "gvp-flow"])
def test_a_path_begins_with_noise_alone_and_ends_with_the_data(name: str) -> None:
    path = named(name)
    assert path.level_at(1.0)[:2] == (0.0, 1.0) and path.level_at(1.0).lam == -math.inf
    assert path.level_at(0.0)[:2] == (1.0, 0.0) and path.level_at(0.0).lam == math.inf


def test_the_vp_path_begins_with_almost_only_noise() -> None:
    assert vp_flow().level_at(1.0).alpha == near(math.exp(-5.025))


@each_path
@pytest.mark.parametrize("time", [-0.01, 1.01, math.nan])
def test_a_time_outside_the_path_is_refused(path: FlowPath, time: float) -> None:
    with pytest.raises(ScheduleError, match=f"the {path.name} path goes from time 0 to time 1; it has no time"):
        path.level_at(time)
    with pytest.raises(ScheduleError, match="starts at a time above 0 and at most 1"):
        path.below(time)


@pytest.mark.parametrize(
    ("path", "kind", "edge", "between"),
    [
        ("Linear", "velocity", None, (1.0, 0.0)),
        ("GVP", "reversed velocity", None, (1.0, 0.0)),
        ("Linear", "epsilon", None, (0.999, 0.001)),
        ("GVP", "score", 0.1, (0.9, 0.1)),
        ("VP", "velocity", None, (1.0, 0.001)),
        ("VP", "epsilon", 0.05, (1.0, 0.05)),
    ],
)
def test_a_run_leaves_out_the_ends_where_its_network_cannot_be_asked(path: str, kind, edge: float | None, between) -> None:
    asked = PATHS[path].of(kind, edge)
    assert (asked.noisiest, asked.cleanest) == near(between)
    assert asked.below(0.5).noisiest == 0.5


def test_an_edge_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ScheduleError, match="at least 0 and less than 0.5, not 0.5"):
        linear_flow().of("velocity", 0.5)
    with pytest.raises(ScheduleError, match="at the ends of the linear path a network that predicts epsilon tells nothing"):
        linear_flow().of("epsilon", 0.0)
