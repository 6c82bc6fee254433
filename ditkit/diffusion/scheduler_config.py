"""What the scheduler_config.json of a diffusers pipeline says: the noise schedule of its model, and how its authors sample it.

Every word is honoured, known not to matter, or refused by name.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ditkit.errors import CheckpointError

Config = Mapping[str, Any]
EVERYWHERE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type", "timestep_spacing")
WITHOUT_EFFECT = (
    *("clip_sample_range", "sample_max_value", "dynamic_thresholding_ratio", "flow_shift", "time_shift_type"),  # of what is fixed to be off
    *("lower_order_final", "euler_at_final"),  # a run that ends clean ends with a step of first order
)
MOST_LEVELS = 10**6  # of noise; everyone trains on 1000
LOWEST = (None, -math.inf)
NAMES = {"linear": "linear", "scaled_linear": "scaled-linear"}  # of noise schedules: theirs, ours


@dataclass(frozen=True)
class KnownScheduler:
    """The solver that a class of diffusers' is, its time grids by their `timestep_spacing`, and what else it has to be told.

    `fixed` has the values that are run; the first is the one that diffusers takes where nothing is said, unless `unsaid` has another.
    """

    solver: str
    grids: Mapping[str, str]
    fixed: Mapping[str, tuple[Any, ...]]
    unsaid: Mapping[str, Any] = field(default_factory=dict)


KNOWN = {
    "DDIMScheduler": KnownScheduler(
        "ddim",
        {"leading": "leading", "trailing": "trailing"},
        {"clip_sample": (False,), "thresholding": (False,), "set_alpha_to_one": (True,), "steps_offset": (0,)},
        {"clip_sample": True},
    ),
    "DPMSolverMultistepScheduler": KnownScheduler(
        "dpm-solver++",
        {"linspace": "diffusers"},
        {
            "algorithm_type": ("dpmsolver++",),
            "solver_order": (2,),
            "solver_type": ("midpoint",),
            "thresholding": (False,),
            "final_sigmas_type": ("zero",),
            "lambda_min_clipped": LOWEST,
            "steps_offset": (0,),
        },
    ),
}


@dataclass(frozen=True)
class Scheduled:
    """A noise schedule by name and numbers, and a solver and its grid; or why theirs cannot be run."""

    schedule: str
    numbers: Mapping[str, float]
    solver: str | None = None
    grid: str | None = None
    refused: str | None = None


def read_scheduler(config: Config) -> Scheduled:
    """What the configuration says; raises `CheckpointError` for a noise schedule that ditkit does not know."""
    name = str(config.get("_class_name"))
    schedule = NAMES.get(str(config.get("beta_schedule", "linear")))
    for word in ("trained_betas", "rescale_betas_zero_snr"):
        if config.get(word):
            raise CheckpointError(f"its {name} says {word} = {_shown(config, word)}, which is no noise schedule that ditkit knows")
    if schedule is None:
        raise CheckpointError(f"its {name} says beta_schedule = {_shown(config, 'beta_schedule')}; known are {', '.join(NAMES)}")
    numbers = _numbers(config, name)
    refused = _refused(config, name)
    if refused:
        return Scheduled(schedule, numbers, refused=refused)
    known = KNOWN[name]
    return Scheduled(schedule, numbers, known.solver, known.grids[config.get("timestep_spacing", next(iter(known.grids)))])


def _numbers(config: Config, name: str) -> dict[str, float]:
    numbers = {
        "steps": config.get("num_train_timesteps", 1000),
        "start": config.get("beta_start", 1e-4),
        "end": config.get("beta_end", 0.02),
    }
    wrong = [number for number in numbers.values() if isinstance(number, bool) or not isinstance(number, int | float)]
    if (
        wrong
        or not isinstance(numbers["steps"], int)
        or not (0 < numbers["steps"] <= MOST_LEVELS and 0 < numbers["start"] <= numbers["end"] < 1)
    ):
        said = ", ".join(f"{word} = {_shown(config, word)}" for word in EVERYWHERE[:3])
        raise CheckpointError(f"its {name} says {said}, which is no noise schedule")
    return {**numbers, "first_time": 0}


def _refused(config: Config, name: str) -> str | None:
    """Why this way of sampling cannot be run."""
    known = KNOWN.get(name)
    if known is None:
        return f"{name} is not among ditkit's solvers"
    spacing = config.get("timestep_spacing", next(iter(known.grids)))
    if not isinstance(spacing, str) or spacing not in known.grids:
        return f"{name} with timestep_spacing = {json.dumps(spacing)} is not among ditkit's time grids"
    said = {**{word: values[0] for word, values in known.fixed.items()}, **known.unsaid, **config}
    for word, value in said.items():
        if word in known.fixed:
            if value not in known.fixed[word]:
                return f"{name} with {word} = {json.dumps(value)} is not among ditkit's solvers"
        elif value not in (None, False) and not word.startswith("_") and word not in (*EVERYWHERE, *WITHOUT_EFFECT):
            return f"{name} with {word} = {json.dumps(value)[:60]} is not among ditkit's solvers"
    return None


def _shown(config: Config, word: str) -> str:
    return json.dumps(config.get(word))[:60]
