from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

from ditkit.diffusion.level import Level
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim, dpm_solver_pp
from ditkit.errors import ScheduleError
from tests.closeness import assert_close, cancelled, near, spread
from tests.diffusion.gaussian import Gaussian, flow_error, order, run
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what diffusers asks of numpy
@pytest.mark.parametrize("evaluations", [5, 20])
def test_with_noise_it_is_the_stochastic_one_of_diffusers(evaluations: int) -> None:
    """Theirs takes the noise as it goes, and draws some for the last step too, which counts for nothing."""
    solver, x = dpm_solver_pp(linear(), evaluations, eta=1.0), torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    theirs: Any = DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, algorithm_type="sde-dpmsolver++")
    theirs.set_timesteps(evaluations)
    noise = torch.randn(solver.draws, 3, 8, generator=torch.Generator().manual_seed(1))
    trajectory = run(solver, lambda x, e: Prediction(torch.sin(x + e)), x, noise)
    start = float(x.abs().max()) / solver.levels[0].alpha
    for index, at in enumerate(theirs.timesteps):
        drawn = noise[index] if index < len(noise) else torch.zeros_like(x)
        x = theirs.step(torch.sin(x + index), at, x, variance_noise=drawn).prev_sample
        assert_close(trajectory[index], x, cancelled(solver.levels[-1].sigma ** 2, terms=1000), size=start)


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("grid", ["diffusers", "logsnr"])
def test_whatever_is_drawn_anew_the_samples_are_those_of_the_data(grid: str, eta: float) -> None:
    """Up to chance, and a hundredth for the steps: with 100 evaluations of the perfect denoiser."""
    samples, target, solver = 20_000, Gaussian(0.5, 0.6), dpm_solver_pp(linear(), 100, grid=grid, eta=eta)
    noise = SampleNoise((3,)).draw(1 + solver.draws, (samples,))
    start = solver.levels[0]
    x = start.alpha * target.mu + target.deviation(start) * noise[0]
    end = run(solver, target.denoiser(solver), x, noise[1:])[-1]
    assert float(end.mean()) == near(target.mu, within=target.std * spread(samples) + 0.01)
    assert float(end.std()) == near(target.std, within=target.std * spread(2 * samples) + 0.01)


def test_a_run_with_noise_says_so_in_its_name_for_no_plan_of_one_without_fits_it() -> None:
    assert [dpm_solver_pp(linear(), 5, eta=eta).name for eta in (0.0, 0.5)] == ["dpm-solver++", "dpm-solver++ with eta 0.5"]
    assert [ddim(linear(), 5, eta=eta).name for eta in (0.0, 1.0)] == ["ddim", "ddim with eta 1"]


def test_a_step_without_noise_draws_none() -> None:
    assert [dpm_solver_pp(linear(), 6, eta=eta).draws for eta in (0.0, 0.5)] == [0, 5]
    assert dpm_solver_pp(linear(), 6, grid="logsnr", eta=0.5).draws == 6


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ScheduleError, match="^eta is between 0 and 1, not 1.5$"):
        dpm_solver_pp(linear(), 20, eta=1.5)
    with pytest.raises(ScheduleError, match="is 'diffusers', 'pixart', 'logsnr', 'karras' or 'lu', not 'even'"):
        dpm_solver_pp(linear(), 20, grid="even")
    with pytest.raises(ScheduleError, match="dpm-solver\\+\\+ makes at most 999 evaluations on 1000 noise levels, not 1000"):
        dpm_solver_pp(linear(), 1000)
    for grid in ("pixart", "logsnr"):
        with pytest.raises(ScheduleError, match="one noise level is left to start from, .* give a larger sampler.start"):
            dpm_solver_pp(linear().below(0.001), 20, grid=grid)
