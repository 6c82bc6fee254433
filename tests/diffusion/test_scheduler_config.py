from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler

from ditkit.diffusion.limit import Limit
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
        (DDIMScheduler(clip_sample=False), ("ddim", "leading", 0)),
        (DDIMScheduler(clip_sample=False, timestep_spacing="trailing"), ("ddim", "trailing", 0)),
        (DPMSolverMultistepScheduler(), ("dpm-solver++", "diffusers", 0)),
        (DPMSolverMultistepScheduler(lower_order_final=False), ("dpm-solver++", "diffusers", 0)),
        (DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"), ("dpm-solver++", "diffusers", 1)),
    ],
)
def test_solver_grid_and_noise_are_the_schedulers(scheduler: Any, expected: tuple[str, str, float]) -> None:
    said = read_scheduler(config(scheduler))
    assert ((said.solver, said.grid, said.eta), said.few, said.refused) == (expected, None, None)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_networks_of_few_steps_are_told_by_their_scheduler(spacing: Any) -> None:
    """LCM's, and DDPM's where a pipeline is asked in words; neither visits the times that `timestep_spacing` would say."""
    lcm = read_scheduler(config(LCMScheduler(timestep_spacing=spacing)))
    assert (lcm.solver, lcm.grid, lcm.few, lcm.schedule) == ("lcm", None, (4, 1.0), "scaled-linear")
    dmd = read_scheduler(config(DDPMScheduler(timestep_spacing=spacing, clip_sample=False)), words=True)
    assert (dmd.solver, dmd.grid, dmd.few, dmd.limit) == ("dmd", None, (1, 1.0), None)


def test_what_is_left_unsaid_is_as_the_scheduler_would_have_it() -> None:
    assert read_scheduler({"_class_name": "LCMScheduler"}) == read_scheduler(config(LCMScheduler()))
    assert read_scheduler({"_class_name": "DDIMScheduler"}) == read_scheduler(config(DDIMScheduler()))
    assert read_scheduler({"_class_name": "DDPMScheduler"}) == read_scheduler(config(DDPMScheduler()))
    assert read_scheduler({"_class_name": "DDPMScheduler"}, words=True) == read_scheduler(config(DDPMScheduler()), words=True)


@pytest.mark.parametrize(
    ("scheduler", "limit"),
    [
        (DDIMScheduler(clip_sample=False), None),
        (DDIMScheduler(), Limit(1.0)),
        (DDIMScheduler(clip_sample_range=3.0), Limit(3.0)),
        (DDIMScheduler(thresholding=True, sample_max_value=2.0), Limit(2.0, 0.995)),
        (DPMSolverMultistepScheduler(thresholding=True, dynamic_thresholding_ratio=0.9), Limit(1.0, 0.9)),
        (DDPMScheduler(), Limit(1.0)),
        (LCMScheduler(clip_sample=True), Limit(1.0)),
    ],
)
def test_a_limit_is_told_whether_the_solver_is_known_or_not(scheduler: Any, limit: Limit | None) -> None:
    assert read_scheduler(config(scheduler)).limit == limit


@pytest.mark.parametrize(("theirs", "ours"), [("epsilon", "epsilon"), ("v_prediction", "v"), ("sample", "sample")])
def test_the_kind_of_prediction_is_the_schedulers(theirs: Any, ours: str) -> None:
    assert read_scheduler(config(DDIMScheduler(prediction_type=theirs))).prediction == ours


@pytest.mark.parametrize(
    ("scheduler", "line"),
    [
        (DDPMScheduler(), "DDPMScheduler is not among ditkit's solvers"),
        (LCMScheduler(original_inference_steps=20), "LCMScheduler with original_inference_steps = 20 is not among ditkit's solvers"),
        (LCMScheduler(timestep_scaling=1.0), "LCMScheduler with timestep_scaling = 1.0 is not among ditkit's solvers"),
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
            DPMSolverMultistepScheduler(solver_type="heun"),
            'DPMSolverMultistepScheduler with solver_type = "heun" is not among ditkit\'s solvers',
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
        ({"prediction_type": "flow"}, 'prediction_type = "flow"; known are epsilon, v_prediction, sample'),
        (
            {"clip_sample_range": 0.0},
            "clip_sample = true, clip_sample_range = 0.0, thresholding = false, dynamic_thresholding_ratio = 0.995, "
            "sample_max_value = 1.0, which limits nothing",
        ),
    ],
)
def test_a_model_that_cannot_be_sampled_at_all_is_refused(numbers: dict[str, Any], line: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_scheduler({**config(DDIMScheduler()), **numbers})
    assert str(caught.value) == f"its DDIMScheduler says {line}"


@pytest.mark.parametrize("numbers", [{"beta_start": "low"}, {"beta_end": 2}, {"num_train_timesteps": 0}, {"beta_start": None}])
def test_numbers_that_make_no_schedule_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"^its DDIMScheduler says num_train_timesteps = .*, which is no noise schedule$"):
        read_scheduler({**config(DDIMScheduler()), **numbers})


def test_the_scheduler_of_a_flow_is_refused_by_a_model_with_noise_levels() -> None:
    with pytest.raises(
        CheckpointError, match="^its FlowMatchEulerDiscreteScheduler is that of a flow, and this model has a noise schedule$"
    ):
        read_scheduler({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
