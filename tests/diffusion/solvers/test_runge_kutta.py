from dataclasses import replace

import pytest
import torch

from ditkit.diffusion.level import CLEAN
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import FlowPath, gvp_flow, linear, linear_flow, vp_flow
from ditkit.diffusion.solvers import ddim, dpm_solver_pp, runge_kutta
from ditkit.diffusion.solvers.runge_kutta import TABLEAUS
from tests.closeness import assert_close, near, summed
from tests.diffusion.gaussian import Gaussian, flow_error, order, run

ORDERS = {"euler": 1, "heun": 2, "midpoint": 2, "heun3": 3, "rk4": 4}
INSIDE = [replace(path, noisiest=0.9, cleanest=0.1) for path in (linear_flow(), gvp_flow(), vp_flow())]  # no level is singular there
each_path = pytest.mark.parametrize("path", INSIDE, ids=[path.name for path in INSIDE])


@each_path
@pytest.mark.parametrize("name", ORDERS)
def test_the_error_falls_with_the_order_of_the_solver(name: str, path: FlowPath) -> None:
    errors = [flow_error(runge_kutta(name, path, n), path.level_at(0.1), kind="velocity") for n in (96, 192)]
    assert order(*errors) > ORDERS[name] - 0.2


@pytest.mark.parametrize("name", TABLEAUS)
def test_a_tableau_is_consistent(name: str) -> None:
    tableau = TABLEAUS[name]
    assert sum(tableau.weights) == near(1)
    assert [sum(stage) for stage in tableau.stages] == near(list(tableau.nodes), size=1)


@pytest.mark.parametrize(
    ("name", "evaluations", "steps"),
    [("heun", 20, 10), ("heun", 21, 11), ("midpoint", 20, 10), ("heun3", 21, 7), ("heun3", 20, 7), ("rk4", 20, 5), ("rk4", 19, 5)],
)
def test_evaluations_that_do_not_fill_the_last_step_make_one_of_lower_order(name: str, evaluations: int, steps: int) -> None:
    solver = runge_kutta(name, linear_flow(), evaluations)
    assert (len(solver.times), solver.steps) == (evaluations, steps)
    target, x = Gaussian(0.7, 0.4), torch.linspace(-2, 2, 9, dtype=torch.float64)
    end = run(solver, target.denoiser(solver, "velocity"), x)[-1]
    assert float((end - target.flow(x, solver.levels[0], CLEAN)).abs().max()) < 0.05


def test_heuns_last_interval_asks_the_network_at_the_data() -> None:
    assert runge_kutta("heun", linear_flow(), 4).times == (1000, 500, 500, 0)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_ddim_on_the_linear_path_is_euler_in_its_own_time(shift: float) -> None:
    euler, other = runge_kutta("euler", linear_flow(), 12, shift=shift), ddim(linear_flow(), 12, shift=shift)
    assert euler.times == other.times
    x = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def denoise(x: torch.Tensor, e: int) -> Prediction:
        return Prediction(torch.sin(3 * x + e), "velocity")

    for mine, theirs in zip(run(euler, denoise, x), run(other, denoise, x), strict=True):
        assert_close(mine, theirs, summed(16 * 12))


@each_path
def test_dpm_solver_pp_is_of_second_order_on_a_flow(path: FlowPath) -> None:
    errors = [flow_error(dpm_solver_pp(path, n), path.level_at(0.1), kind="velocity") for n in (100, 200)]
    assert order(*errors) > 1.8


def test_a_network_that_predicts_noise_is_integrated_as_the_velocity_it_means() -> None:
    path, target = linear_flow().of("epsilon"), Gaussian(0.7, 0.4)
    solver, x = runge_kutta("heun", path, 20), torch.linspace(-2, 2, 9, dtype=torch.float64)
    as_noise, as_velocity = (run(solver, target.denoiser(solver, kind), x)[-1] for kind in ("epsilon", "velocity"))
    assert_close(
        as_noise, as_velocity, summed(16 * 20) / path.cleanest
    )  # what divides by alpha at the noisy end, or by sigma at the clean one


def test_a_noise_schedule_has_a_flow_as_well() -> None:
    schedule = linear()
    errors = [flow_error(runge_kutta("heun", schedule, n), schedule.level_at(0.001)) for n in (50, 100)]
    assert errors[1] < 0.02 and errors[1] < errors[0]
