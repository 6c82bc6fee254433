from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear, linear_flow
from ditkit.diffusion.solvers.dmd import dmd
from ditkit.errors import ScheduleError
from tests.closeness import assert_close
from tests.diffusion.gaussian import run


def test_it_is_the_clean_sample_of_diffusers_ddpm_at_one_timestep() -> None:
    """As PixArtAlphaPipeline takes it: `timesteps=[400]`, and the predicted original sample in place of the previous one."""
    scheduler: Any = DDPMScheduler(clip_sample=False)
    scheduler.set_timesteps(timesteps=[400])
    x, said = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    solver = dmd(linear(), 1)
    assert solver.times == (400.0,)
    ours, _ = solver.step(lambda x, k: Prediction(said), x, 0, solver.init())
    assert_close(ours, scheduler.step(said, scheduler.timesteps[0], x).pred_original_sample, 400)  # of its products of betas in float32


def test_more_evaluations_add_fresh_noise_to_the_clean_sample_of_the_last() -> None:
    solver = dmd(linear(), 3)
    assert solver.times == (400.0, 266.0, 133.0)
    x, one, two = torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    made = run(solver, lambda x, k: Prediction(x, "sample"), x, torch.stack([one, two]))
    alpha, sigma = solver.levels[1][:2]
    assert torch.equal(made[0], alpha * x + sigma * one) and torch.equal(made[2], made[1])


def test_every_count_up_to_the_level_visits_as_many_levels() -> None:
    for count in (1, 2, 7, 100, 401):
        times = dmd(linear(), count).times
        assert len(set(times)) == count and times[0] == 400 and min(times) >= 0


def test_what_it_is_not_for_is_refused() -> None:
    with pytest.raises(ScheduleError, match="^dmd is for networks that were distilled at numbered noise levels, which a flow has none of$"):
        dmd(linear_flow(), 1)
    with pytest.raises(ScheduleError, match="^dmd makes at most 401 evaluations, the levels from index 400, not 402$"):
        dmd(linear(), 402)
