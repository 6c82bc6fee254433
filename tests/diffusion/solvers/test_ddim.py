import math

import pytest
import torch

from ditkit.diffusion.level import Level
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import ddim, ddpm
from ditkit.errors import ScheduleError
from tests.closeness import assert_close, near, spread, summed
from tests.diffusion.gaussian import Gaussian, flow_error, order, run
from tests.golden_files import golden


def test_the_published_trajectory_follows_from_its_x0_predictions() -> None:
    reference = golden("dit_ddim20")
    solver, x0 = ddim(linear(), 20), reference["out.pred_xstart_steps"]
    assert list(solver.times) == reference["out.model_timesteps"].tolist()
    x = torch.cat([reference["in.noise"]] * 2)
    trajectory = run(solver, lambda x, e: Prediction(x0[e], "sample"), x)
    assert_close(torch.stack(trajectory), reference["out.x_steps"], summed(20 * 8))


def test_the_error_falls_with_the_first_power_of_the_steps() -> None:
    errors = [flow_error(ddim(linear(), n), Level(1.0, 0.0)) for n in (25, 50, 100)]
    assert order(*errors[:2]) == near(1, within=0.25)
    assert order(*errors[1:]) == near(1, within=0.25)


def test_the_last_step_ends_at_the_predicted_sample() -> None:
    x0 = torch.randn(3, 4)
    assert torch.equal(run(ddim(linear(), 5), lambda x, e: Prediction(x0, "sample"), torch.randn(3, 4))[-1], x0)


def test_with_eta_one_it_is_ddpm_with_the_smallest_variance() -> None:
    target, schedule = Gaussian(0.5, 0.3), linear()
    x, *noise = SampleNoise((0,)).draw(10, (16,), dtype=torch.float64)
    first, second = ddim(schedule, 10, eta=1.0), ddpm(schedule, 10, variance="fixedsmall")
    assert_close(
        run(first, target.denoiser(first), x, torch.stack(noise)), run(second, target.denoiser(second), x, torch.stack(noise))
    )  # q(x_prev | x, x0) is the same Gaussian in both papers


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_samples_of_a_gaussian_target_have_its_mean_and_variance(eta: float) -> None:
    solver, target = ddim(linear(), 400, eta=eta), Gaussian(0.7, 0.4)
    x, *noise = SampleNoise((0,)).draw(1 + solver.draws, (10_000,))
    samples = run(solver, target.denoiser(solver), x, torch.stack(noise) if noise else None)[-1]
    assert float(samples.mean()) == near(target.mu, within=target.std * spread(10_000))
    assert float(samples.std()) == near(target.std, within=target.std * spread(20_000))


def test_the_grids_visit_different_levels() -> None:
    assert ddim(linear(), 20).times[:3] == (999, 946, 894)
    assert ddim(linear(), 20, grid="ddim").times[:3] == (950, 900, 850)
    assert ddim(linear(), 5, grid="3,2").times == (999, 500, 499, 250, 0)
    assert ddim(scaled_linear(), 20).times[-1] == 1  # a network that counts levels from 1


def test_levels_are_those_of_the_visited_times() -> None:
    schedule = linear()
    solver = ddim(schedule, 20)
    for time, level in zip(solver.times, solver.levels, strict=True):
        assert level.alpha == near(math.sqrt(schedule.abar[int(time)]))
        assert math.hypot(level.alpha, level.sigma) == near(1)


def test_only_a_random_run_draws_noise() -> None:
    assert ddim(linear(), 20).draws == 0
    assert ddim(linear(), 20, eta=0.3).draws == 19


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ScheduleError, match=r"eta is between 0 and 1, not 1\.5"):
        ddim(linear(), 20, eta=1.5)
    with pytest.raises(ScheduleError, match="time grid '10,15' has 25 evaluations, this run makes 20"):
        ddim(linear(), 20, grid="10,15")
    with pytest.raises(ScheduleError, match="no whole stride makes 'ddim37'"):
        ddim(linear(), 37, grid="ddim")
