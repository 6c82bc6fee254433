import numpy as np
import pytest
import torch

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim, dpm_solver_pp
from ditkit.errors import ScheduleError
from tests.closeness import assert_close, cancelled, near
from tests.diffusion.gaussian import flow_error, order, run
from tests.golden_files import golden, golden_json

TABLES = (5, 10, 14, 15, 20, 25, 50, 100)


@pytest.mark.parametrize("evaluations", TABLES)
def test_the_whole_level_grid_is_that_of_diffusers(evaluations: int) -> None:
    tables = golden_json("dpmpp_scheduler")["tables"]
    assert sorted(map(int, tables)) == sorted(TABLES)
    solver, table = dpm_solver_pp(linear(), evaluations), tables[str(evaluations)]
    assert list(solver.times) == table["timesteps"]
    # theirs in float32: a product of a thousand factors, which is subtracted from 1
    ratios = torch.tensor([level.sigma / level.alpha for level in solver.levels])
    assert_close(ratios, torch.tensor(table["sigmas"][:-1]), cancelled(solver.levels[-1].sigma ** 2, terms=1000), each=True)
    assert run(solver, lambda x, e: Prediction(torch.full_like(x, e), "sample"), torch.zeros(1))[-1] == evaluations - 1


@pytest.mark.parametrize("evaluations", [5, 10, 14, 15, 20, 25, 50])
def test_trajectories_are_those_of_diffusers(evaluations: int) -> None:
    reference, solver = golden("dpmpp_scheduler"), dpm_solver_pp(linear(), evaluations)
    outputs, wanted = reference[f"in.n{evaluations}.model_outputs"], reference[f"out.n{evaluations}.trajectory"]
    trajectory = torch.stack(run(solver, lambda x, e: Prediction(outputs[e]), reference[f"in.n{evaluations}.x"]))
    start = float(reference[f"in.n{evaluations}.x"].abs().max()) / solver.levels[0].alpha
    assert_close(trajectory, wanted, size=start)  # the predictions divide by alpha


def test_the_continuous_grid_is_that_of_pixart() -> None:
    times = golden("pixart_official_dpms20")["aux.continuous_times"]
    solver = dpm_solver_pp(linear(), 20, grid="pixart")
    assert_close(torch.tensor(solver.times), (times[:-1] - 0.001) * 1000)
    assert solver.times[0] == 999
    assert solver.times[1] == near(949.05)


def test_the_grid_in_log_snr_is_even_in_it() -> None:
    schedule = linear()
    solver = dpm_solver_pp(schedule, 20, grid="logsnr")
    steps = np.diff([*(level.lam for level in solver.levels), schedule.level_at(0.001).lam])
    assert_close(steps, np.full(20, steps.mean()), cancelled(schedule.level_at(0.001).sigma ** 2))  # sigma is the root of 1 - alpha^2
    assert (solver.times[0], solver.levels[0]) == (999, schedule.level_at(1.0))
    assert solver.times[10] < 310 < dpm_solver_pp(schedule, 20, grid="pixart").times[10]
    assert dpm_solver_pp(schedule, 1, grid="logsnr").times == (999,)


@pytest.mark.parametrize("grid", ["pixart", "logsnr"])
def test_the_error_falls_with_the_second_power_of_the_steps(grid: str) -> None:
    schedule = linear()
    errors = [flow_error(dpm_solver_pp(schedule, n, grid=grid), schedule.level_at(0.001)) for n in (50, 100, 200)]
    assert order(*errors[:2]) > 1.75
    assert order(*errors[1:]) > 1.75


def test_on_the_whole_level_grid_it_beats_first_order_at_the_same_cost() -> None:
    clean = Level(1.0, 0.0)
    assert flow_error(dpm_solver_pp(linear(), 40), clean) < 0.2 * flow_error(ddim(linear(), 40), clean)


def test_a_short_continuous_run_ends_with_a_first_order_step() -> None:
    orders = {n: [2 if update.last else 1 for update in dpm_solver_pp(linear(), n, grid="pixart").updates] for n in (1, 2, 9, 10)}
    assert orders[1] == [1]
    assert orders[2] == [1, 1]
    assert orders[9] == [1] + [2] * 7 + [1]
    assert orders[10] == [1] + [2] * 9


def test_a_constant_prediction_is_reached_from_anywhere() -> None:
    for evaluations in (1, 2, 7):
        end = run(dpm_solver_pp(linear(), evaluations), lambda x, e: Prediction(torch.full_like(x, 0.3), "sample"), torch.randn(4))[-1]
        assert_close(end, torch.full((4,), 0.3))


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ScheduleError, match="is 'diffusers', 'pixart', 'logsnr', 'karras' or 'lu', not 'even'"):
        dpm_solver_pp(linear(), 20, grid="even")
    with pytest.raises(ScheduleError, match="dpm-solver\\+\\+ makes at most 999 evaluations on 1000 noise levels, not 1000"):
        dpm_solver_pp(linear(), 1000)
    for grid in ("pixart", "logsnr"):
        with pytest.raises(ScheduleError, match="one noise level is left to start from, .* give a larger sampler.start"):
            dpm_solver_pp(linear().below(0.001), 20, grid=grid)
