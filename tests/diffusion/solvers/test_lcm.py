import importlib
from typing import Any

import pytest
import torch

from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear, linear_flow
from ditkit.diffusion.solvers.lcm import lcm
from ditkit.errors import ScheduleError
from tests.closeness import assert_close, summed
from tests.diffusion.gaussian import run


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own
@pytest.mark.parametrize("evaluations", [1, 2, 4, 8])
def test_trajectories_are_those_of_diffusers(evaluations: int) -> None:
    diffusers: Any = importlib.import_module("diffusers")
    scheduler = diffusers.LCMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(evaluations)
    solver = lcm(linear(), evaluations)
    assert list(solver.times) == scheduler.timesteps.tolist()
    outputs = torch.randn(evaluations, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    generator, expected, noise, theirs = torch.Generator().manual_seed(2), [], [], x
    for index, time in enumerate(scheduler.timesteps):
        theirs = scheduler.step(outputs[index], time, theirs, generator=generator).prev_sample
        expected.append(theirs)
    again = torch.Generator().manual_seed(2)
    noise = [torch.randn(2, 4, 8, 8, generator=again) for _ in range(evaluations - 1)]
    mine = run(solver, lambda x, e: Prediction(outputs[e]), x, torch.stack(noise) if noise else None)
    first = solver.levels[0].alpha  # what the first x0 divides by
    assert_close(torch.stack(mine), torch.stack(expected), summed(16 * evaluations) / first)


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ScheduleError, match="lcm makes at most 50 evaluations, the levels of its distillation, not 51"):
        lcm(linear(), 51)
    with pytest.raises(ScheduleError, match="lcm is for networks that were distilled on numbered noise levels"):
        lcm(linear_flow(), 4)
