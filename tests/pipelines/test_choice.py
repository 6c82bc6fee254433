"""What a pipeline's runs show of its solver is the solver, and evaluations are chosen by it as they are for the engine."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ditkit
from ditkit.diffusion.level import Level
from ditkit.pipelines.choice import Recorded, in_miniature
from ditkit.routing.miniature import VARIANCE, answer
from tests.closeness import assert_close, cancelled
from tests.pipelines.tiny import PIPELINES, tiny

diffusers: Any = import_module("diffusers")
pytestmark = pytest.mark.filterwarnings("ignore:::diffusers")  # of what it will do otherwise one day
STEPS = 8
FOUND = cancelled(1e-2, 16 * STEPS)  # the roundings of proportions of outputs that are alike but for a hundredth, told in single precision


def run_of(scheduler: Any, network: Callable[[Tensor, float], Tensor], *, doubled: bool = False, start: float = 1.0) -> Recorded:
    """A run of diffusers' scheduler from noise, guided if what the network is given is doubled."""
    x = (
        torch.randn(1, 600, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        * start
        * getattr(scheduler, "init_noise_sigma", 1.0)
    )
    given, made = [], []
    for time in scheduler.timesteps:
        told = scheduler.scale_model_input(x, time) if hasattr(scheduler, "scale_model_input") else x
        rows = torch.cat([told, told]) if doubled else told
        output = network(rows, float(time))
        given.append(rows)
        made.append([output])
        guided = output[:1] + 3 * (output[1:] - output[:1]) if doubled else output
        x = scheduler.step(guided, time, x, return_dict=False)[0]
    return Recorded.of(given, made)


def curved(x: Tensor, time: float) -> Tensor:
    """Something that is no sum of its input and of what it said before."""
    return torch.sin(2 * x + torch.arange(len(x))[:, None] + time / 50)


SCHEDULERS = {
    "DDIM": "DDIMScheduler(beta_start=1e-4, beta_end=2e-2, clip_sample=False)",
    "DPM-Solver++": "DPMSolverMultistepScheduler(beta_start=1e-4, beta_end=2e-2)",
    "Euler": "EulerDiscreteScheduler(beta_start=1e-4, beta_end=2e-2)",
    "flow": "FlowMatchEulerDiscreteScheduler(shift=3.0)",
}


def made(name: str) -> Any:
    scheduler = eval(f"diffusers.{SCHEDULERS[name]}", {"diffusers": diffusers})
    scheduler.set_timesteps(STEPS)
    return scheduler


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_solver_is_found_again_from_its_runs(name: str, doubled: bool) -> None:
    """How the input of each evaluation moves with each output is seen where the scheduler itself is told one at a time."""
    found = in_miniature([run_of(made(name), curved, doubled=doubled)], made(name), made(name).timesteps.tolist())
    assert found is not None
    for loud in range(STEPS):
        said = iter([float(e == loud) for e in range(STEPS)])
        alone = run_of(made(name), lambda x, _, said=said: torch.full_like(x, next(said)), start=0.0)
        wanted = torch.stack([given[0] for given in alone.inputs]).float()
        assert_close(torch.tensor(found.inputs[:-1, loud]), wanted, FOUND, size=1.0)


def test_the_last_output_counts_as_the_clean_sample_that_it_tells() -> None:
    scheduler = made("flow")
    found = in_miniature([run_of(scheduler, curved)], scheduler, scheduler.timesteps.tolist())
    assert found is not None
    sigma = float(scheduler.sigmas[STEPS - 1])
    wanted = np.append(found.inputs[-2][:-1], -sigma)
    assert_close(torch.tensor(found.inputs[-1]), torch.tensor(wanted).float(), FOUND, size=1.0)
    assert found.answers[0] == answer(
        Level(1 - float(scheduler.sigmas[0]), float(scheduler.sigmas[0]), 1.0, -1.0), "reversed velocity", VARIANCE
    )


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_whose_scheduler_tells_levels_is_chosen_for_and_each_prompt_runs_once(name: str) -> None:
    pipe, arguments = tiny(name)
    runs: list[None] = []
    plan = ditkit.calibrate(pipe, [arguments(seed) for seed in range(4)], 6, 0.5, on_run=lambda: runs.append(None))
    assert len(runs) == 4 and sum(map(all, plan.compute)) == 3 and plan.compute[0][0]
    assert plan.provenance.get("chosen") == "in miniature"


def test_without_levels_nothing_is_chosen() -> None:
    assert in_miniature([run_of(made("flow"), curved)], None, made("flow").timesteps.tolist()) is None
