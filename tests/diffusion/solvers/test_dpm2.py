import pytest
import torch
from torch import Tensor

from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear, scaled_linear
from ditkit.diffusion.solvers import dpm_solver_2
from tests.closeness import assert_close, near, summed
from tests.diffusion.gaussian import flow_error, order, run
from tests.golden_files import golden


@pytest.mark.parametrize("evaluations", [20, 50])
def test_the_times_are_the_published_ones(evaluations: int) -> None:
    reference, solver = golden("uvit_schedule"), dpm_solver_2(scaled_linear(), evaluations)
    starts = reference[f"out.nfe{evaluations}.timesteps"][:-1] * 1000
    midpoints = reference[f"out.nfe{evaluations}.midpoints"] * 1000
    assert_close(torch.tensor(solver.times), torch.stack([starts, midpoints], 1).flatten())


def test_the_published_trajectory_follows_from_its_noise_predictions() -> None:
    reference, solver, roundings = golden("uvit_dpm20"), dpm_solver_2(scaled_linear(), 20), summed(20 * 16)
    assert_close(torch.tensor(solver.times), reference["out.eval_t"])

    def denoise(x: Tensor, e: int) -> Prediction:
        assert_close(x, reference["out.eval_x"][e], roundings)
        return Prediction(reference["out.eval_eps"][e])

    trajectory = run(solver, denoise, reference["in.noise"])
    assert_close(torch.stack(trajectory), reference["out.x_steps"], roundings)


def test_the_error_falls_with_the_second_power_of_the_steps() -> None:
    schedule = linear()
    errors = [flow_error(dpm_solver_2(schedule, n), schedule.level_at(0.001)) for n in (50, 100, 200)]
    assert order(*errors[:2]) > 1.75
    assert order(*errors[1:]) > 1.75


def test_the_start_of_a_step_only_serves_to_find_its_midpoint() -> None:
    solver, x = dpm_solver_2(scaled_linear(), 4), torch.ones(3)
    disturbed, _ = solver.step(lambda x, e: Prediction(torch.full_like(x, (100.0, 0.3)[e]), "sample"), x, 0, None)
    plain, _ = solver.step(lambda x, e: Prediction(torch.full_like(x, 0.3), "sample"), x, 0, None)
    assert torch.equal(disturbed, plain)


def test_an_odd_number_of_evaluations_leaves_a_first_order_last_step() -> None:
    solver = dpm_solver_2(scaled_linear(), 5)
    assert solver.steps == 3
    assert [update.midpoint is None for update in solver.updates] == [False, False, True]
    assert solver.times[::2] == near((1000, 667, 334))
    single = dpm_solver_2(scaled_linear(), 1)
    assert (single.steps, single.times) == (1, (1000.0,))


def test_a_network_that_counts_from_zero_is_told_so() -> None:
    assert dpm_solver_2(linear(), 20).times[:1] == (999.0,)
