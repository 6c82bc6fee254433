import math

import pytest
import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear, warm
from ditkit.diffusion.solvers import ddpm
from ditkit.diffusion.solvers.ddpm import Variance
from ditkit.errors import ScheduleError
from tests.closeness import FORMULA, assert_close, cancelled, near, spread, summed
from tests.diffusion.gaussian import Gaussian, run
from tests.golden_files import golden


@pytest.mark.parametrize("variance", ["fixedsmall", "fixedlarge"])
def test_published_trajectories_follow_from_their_noise_predictions(variance: Variance) -> None:
    reference = golden("dit3d_sampling_T10")
    case = f"out.noclip_{variance}"
    schedule, epsilon = linear(10, 0.001, 0.4), reference[f"{case}.eps"]
    solver = ddpm(schedule, 10, variance=variance)
    trajectory = run(solver, lambda x, e: Prediction(epsilon[e]), reference["in.x_T"], reference["in.noise"][: solver.draws])
    wanted = reference[f"{case}.x_t"]
    lost = cancelled(1 - schedule.abar[0])  # in their float32 tables
    for k, x in enumerate(trajectory):
        assert_close(x, wanted[k + 1], summed(10 * 16) + lost)


def test_published_single_steps_follow_from_their_x0_predictions() -> None:
    reference = golden("dit3d_p_sample_steps_T1000")
    solver = ddpm(linear(), 1000, variance="fixedsmall")
    for row, t in enumerate(reference["in.t"].tolist()):
        k = solver.times.index(t)
        noise = reference["in.noise"][row].expand(solver.draws, *reference["in.noise"].shape[1:])
        x0 = Prediction(reference["out.pred_x0"][row], "sample")
        x, _ = solver.step(lambda x, e, x0=x0: x0, reference["in.x_t"][row], k, solver.init(noise))
        assert_close(x, reference["out.x_prev"][row], FORMULA + cancelled(1 - linear().abar[int(t)]))  # in their float32 tables


def test_with_the_true_variance_ten_steps_sample_a_gaussian_exactly() -> None:
    """q(x_prev | x) of Gaussian data is Gaussian, so that a network that knows its mean and variance makes no error."""
    target, solver, tables = Gaussian(0.7, 0.4), ddpm(linear(), 10), linear().respaced("10")

    def denoise(x: Tensor, e: int) -> Prediction:
        i, level = 9 - e, solver.levels[e]
        spread_of_x0 = (target.std * level.sigma / target.deviation(level)) ** 2  # the variance of p(x0 | x)
        variance = tables.posterior_variance[i] + tables.posterior_mean_x0[i] ** 2 * spread_of_x0
        low, high = tables.posterior_log_variance[i], math.log(tables.betas[i])
        v = 2 * (math.log(variance) - low) / (high - low) - 1
        return Prediction(target.epsilon(x, level), variance=torch.full_like(x, v))

    x, *noise = SampleNoise((0,)).draw(10, (50_000,))
    start = target.deviation(solver.levels[0]) * x + solver.levels[0].alpha * target.mu
    deviation = target.deviation(solver.levels[-1])
    before_last = run(solver, denoise, start, torch.stack(noise))[-2]
    assert float(before_last.mean()) == near(solver.levels[-1].alpha * target.mu, within=deviation * spread(50_000))
    assert float(before_last.std()) == near(deviation, within=deviation * spread(100_000))


@pytest.mark.parametrize("variance", ["fixedsmall", "fixedlarge"])
def test_with_many_steps_a_fixed_variance_samples_a_gaussian_too(variance: Variance) -> None:
    target = Gaussian(0.7, 0.4)
    solver = ddpm(linear(), 500, variance=variance)
    x, *noise = SampleNoise((0,)).draw(500, (10_000,))
    samples = run(solver, target.denoiser(solver), x, torch.stack(noise))[-1]
    assert float(samples.mean()) == near(target.mu, within=target.std * spread(10_000))
    assert float(samples.std()) == near(target.std, within=target.std * spread(20_000))


def test_a_learned_variance_reaches_from_the_smallest_to_the_largest() -> None:
    x, noise, k = torch.zeros(4), torch.ones(9, 4), 3
    extremes: dict[Variance, float] = {"fixedsmall": -1.0, "fixedlarge": 1.0}
    for fixed, v in extremes.items():
        prediction = Prediction(torch.zeros(4), variance=torch.full((4,), v))
        learned, _ = ddpm(linear(), 10).step(lambda x, e, says=prediction: says, x, k, noise)
        wanted, _ = ddpm(linear(), 10, variance=fixed).step(lambda x, e, says=prediction: says, x, k, noise)
        assert_close(learned, wanted)


def test_the_last_step_adds_no_noise() -> None:
    assert ddpm(linear(), 20).draws == 19
    assert ddpm(linear(), 1).draws == 0


def test_a_thousand_levels_are_all_visited() -> None:
    assert ddpm(warm(), 1000, variance="fixedsmall").times == tuple(range(999, -1, -1))


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ScheduleError, match="DDPM's variance is 'learned', 'fixedsmall' or 'fixedlarge', not 'big'"):
        ddpm(linear(), 20, variance="big")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ScheduleError, match="this network predicts no variance; run ddpm with variance=fixedsmall"):
        ddpm(linear(), 20).step(lambda x, e: Prediction(x), torch.zeros(1), 0, torch.zeros(19, 1))
