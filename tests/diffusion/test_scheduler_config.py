from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler

from ditkit.diffusion.schedule import named
from ditkit.diffusion.scheduler_config import read_scheduler
from ditkit.errors import CheckpointError
from tests.closeness import assert_close


def config(scheduler: Any) -> dict[str, Any]:
    return {"_class_name": type(scheduler).__name__, **scheduler.config}


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_start": 0.0002, "beta_end": 0.03, "num_train_timesteps": 500},
    ],
)
def test_the_noise_schedule_is_the_schedulers(numbers: dict[str, Any]) -> None:
    theirs = DDIMScheduler(clip_sample=False, **numbers)
    said = read_scheduler(config(theirs))
    schedule: Any = named(said.schedule, **said.numbers)
    assert schedule.first_time == 0
    assert_close(torch.from_numpy(schedule.betas.copy()).float(), theirs.betas)


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (DDIMScheduler(clip_sample=False), ("ddim", "leading")),
        (DDIMScheduler(clip_sample=False, timestep_spacing="trailing"), ("ddim", "trailing")),
        (DPMSolverMultistepScheduler(), ("dpm-solver++", "diffusers")),
        (DPMSolverMultistepScheduler(lower_order_final=False), ("dpm-solver++", "diffusers")),
    ],
)
def test_solver_and_grid_are_the_schedulers(scheduler: Any, expected: tuple[str, str]) -> None:
    said = read_scheduler(config(scheduler))
    assert ((said.solver, said.grid), said.refused) == (expected, None)


@pytest.mark.parametrize(
    ("scheduler", "line"),
    [
        (LCMScheduler(), "LCMScheduler is not among ditkit's solvers"),
        (DDIMScheduler(), "DDIMScheduler with clip_sample = true is not among ditkit's solvers"),
        (DDIMScheduler(clip_sample=False, steps_offset=1), "DDIMScheduler with steps_offset = 1 is not among ditkit's solvers"),
        (
            DDIMScheduler(clip_sample=False, set_alpha_to_one=False),
            "DDIMScheduler with set_alpha_to_one = false is not among ditkit's solvers",
        ),
        (
            DDIMScheduler(clip_sample=False, timestep_spacing="linspace"),
            'DDIMScheduler with timestep_spacing = "linspace" is not among ditkit\'s time grids',
        ),
        (
            DPMSolverMultistepScheduler(use_karras_sigmas=True),
            "DPMSolverMultistepScheduler with use_karras_sigmas = true is not among ditkit's solvers",
        ),
        (DPMSolverMultistepScheduler(solver_order=3), "DPMSolverMultistepScheduler with solver_order = 3 is not among ditkit's solvers"),
        (
            DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"),
            'DPMSolverMultistepScheduler with algorithm_type = "sde-dpmsolver++" is not among ditkit\'s solvers',
        ),
    ],
)
def test_a_way_of_sampling_that_cannot_be_run_is_named(scheduler: Any, line: str) -> None:
    said = read_scheduler(config(scheduler))
    assert (said.solver, said.refused) == (None, line)


@pytest.mark.parametrize(
    ("numbers", "line"),
    [
        ({"beta_schedule": "squaredcos_cap_v2"}, 'beta_schedule = "squaredcos_cap_v2"; known are linear, scaled_linear'),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr = true, which is no noise schedule that ditkit knows"),
        ({"trained_betas": [0.1, 0.2]}, "trained_betas = [0.1, 0.2], which is no noise schedule that ditkit knows"),
    ],
)
def test_a_model_that_cannot_be_sampled_at_all_is_refused(numbers: dict[str, Any], line: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_scheduler(config(DDIMScheduler(**numbers)))
    assert str(caught.value) == f"its DDIMScheduler says {line}"


@pytest.mark.parametrize("numbers", [{"beta_start": "low"}, {"beta_end": 2}, {"num_train_timesteps": 0}, {"beta_start": None}])
def test_numbers_that_make_no_schedule_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"^its DDIMScheduler says num_train_timesteps = .*, which is no noise schedule$"):
        read_scheduler({**config(DDIMScheduler()), **numbers})
