"""What the scheduler_config.json of a diffusers pipeline says: the noise schedule and the prediction of its model, and how it is sampled.

Every word is honoured, known not to matter, or refused by name.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ditkit.diffusion.limit import Limit
from ditkit.errors import CheckpointError

Config = Mapping[str, Any]
SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
LIMIT = ("clip_sample", "clip_sample_range", "thresholding", "dynamic_thresholding_ratio", "sample_max_value")
EVERYWHERE = (*SCHEDULE, *LIMIT, "prediction_type", "timestep_spacing")
WITHOUT_EFFECT = (
    *("flow_shift", "time_shift_type"),  # of what is fixed to be off
    *("lower_order_final", "euler_at_final"),  # a run that ends clean ends with a step of first order
)
MOST_LEVELS = 10**6  # of noise; everyone trains on 1000
LOWEST = (None, -math.inf)
NAMES = {"linear": "linear", "scaled_linear": "scaled-linear"}  # of noise schedules: theirs, ours
PREDICTIONS: dict[str, Literal["epsilon", "v", "sample"]] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
CLIPS = {"clip_sample": True}  # what these schedulers do where nothing is said


@dataclass(frozen=True)
class KnownScheduler:
    """The solver that a class of diffusers' is, its time grids by their `timestep_spacing`, and what else it has to be told.

    `fixed` has the values that are run; the first is the one that diffusers takes where nothing is said. `unsaid` is what it takes of the
    words that all have, `idle` words that change nothing in it, `few` the evaluations and the guidance of one for networks of few steps.
    """

    solver: str
    grids: Mapping[str, str | None]
    fixed: Mapping[str, tuple[Any, ...]]
    unsaid: Config = field(default_factory=dict)
    idle: tuple[str, ...] = ()
    few: tuple[int, float] | None = None


STOCHASTIC = "sde-dpmsolver++"
ANY_SPACING: dict[str, str | None] = {"leading": None, "trailing": None, "linspace": None}
KNOWN = {
    "DDIMScheduler": KnownScheduler(
        "ddim",
        {"leading": "leading", "trailing": "trailing"},
        {"set_alpha_to_one": (True,), "steps_offset": (0,)},
        CLIPS,
    ),
    "DPMSolverMultistepScheduler": KnownScheduler(
        "dpm-solver++",
        {"linspace": "diffusers"},
        {
            "algorithm_type": ("dpmsolver++", STOCHASTIC),
            "solver_order": (2,),
            "solver_type": ("midpoint",),
            "final_sigmas_type": ("zero",),
            "lambda_min_clipped": LOWEST,
            "steps_offset": (0,),
        },
    ),
    "LCMScheduler": KnownScheduler(
        "lcm",
        ANY_SPACING,
        {"original_inference_steps": (50,), "timestep_scaling": (10.0,)},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        ("set_alpha_to_one", "steps_offset"),
        (4, 1.0),
    ),
}
ONE_STEP = {"DDPMScheduler": KnownScheduler("dmd", ANY_SPACING, {}, CLIPS, ("variance_type", "steps_offset"), (1, 1.0))}
"""Of pipelines that are asked in words, which are published with another; those with this one are distilled to one step (PixArt-DMD)."""


@dataclass(frozen=True)
class Scheduled:
    """A noise schedule by name and numbers, what the network predicts, the limit of its clean samples, a solver, its grid and its noise.

    Or why that solver cannot be run. `few` are evaluations and guidance of a network that was distilled to few steps.
    """

    schedule: str
    numbers: Mapping[str, float]
    prediction: Literal["epsilon", "v", "sample"] = "epsilon"
    limit: Limit | None = None
    solver: str | None = None
    grid: str | None = None
    few: tuple[int, float] | None = None
    eta: float = 0.0
    refused: str | None = None


def read_scheduler(config: Config, *, words: bool = False) -> Scheduled:
    """What the configuration says, of a pipeline that is asked in `words` or in classes.

    Raises `CheckpointError` for a noise schedule or a prediction that ditkit does not know.
    """
    name = str(config.get("_class_name"))
    known = {**KNOWN, **(ONE_STEP if words else {})}.get(name)
    unsaid = known.unsaid if known else CLIPS if name in ONE_STEP else {}
    said = {**unsaid, **config}
    if name.startswith("FlowMatch"):
        raise CheckpointError(f"its {name} is that of a flow, and this model has a noise schedule")
    for word in ("trained_betas", "rescale_betas_zero_snr"):
        if said.get(word):
            raise CheckpointError(f"its {name} says {word} = {_shown(said, word)}, which is no noise schedule that ditkit knows")
    schedule = _of(NAMES, said, "beta_schedule", "linear", name)
    prediction = _of(PREDICTIONS, said, "prediction_type", "epsilon", name)
    numbers, limit = _numbers(said, name), _limit(said, name)
    refused = _refused(said, name, known)
    if known is None or refused:
        return Scheduled(schedule, numbers, prediction, limit, refused=refused)
    eta = float(said.get("algorithm_type") == STOCHASTIC)
    return Scheduled(schedule, numbers, prediction, limit, known.solver, known.grids[_spacing(said, known)], known.few, eta)


def _of(names: Mapping[str, Any], said: Config, word: str, default: str, name: str) -> Any:
    if str(said.get(word, default)) not in names:
        raise CheckpointError(f"its {name} says {word} = {_shown(said, word)}; known are {', '.join(names)}")
    return names[str(said.get(word, default))]


def _numbers(said: Config, name: str) -> dict[str, float]:
    numbers = {
        "steps": said.get("num_train_timesteps", 1000),
        "start": said.get("beta_start", 1e-4),
        "end": said.get("beta_end", 0.02),
    }
    wrong = [number for number in numbers.values() if not _is_number(number)]
    if (
        wrong
        or not isinstance(numbers["steps"], int)
        or not (0 < numbers["steps"] <= MOST_LEVELS and 0 < numbers["start"] <= numbers["end"] < 1)
    ):
        shown = ", ".join(f"{word} = {_shown(said, word)}" for word in SCHEDULE[:3])
        raise CheckpointError(f"its {name} says {shown}, which is no noise schedule")
    return {**numbers, "first_time": 0}


def _limit(said: Config, name: str) -> Limit | None:
    """What it keeps clean samples within: of the two ways, thresholding comes first."""
    dynamic = bool(said.get("thresholding"))
    if not dynamic and not said.get("clip_sample"):
        return None
    most = said.get("sample_max_value" if dynamic else "clip_sample_range", 1.0)
    share = said.get("dynamic_thresholding_ratio", 0.995) if dynamic else None
    if not (_is_number(most) and most > 0) or not (share is None or (_is_number(share) and 0 <= share <= 1)):
        shown = ", ".join(f"{word} = {_shown(said, word)}" for word in LIMIT if word in said)
        raise CheckpointError(f"its {name} says {shown}, which limits nothing")
    return Limit(most, share)


def _refused(said: Config, name: str, known: KnownScheduler | None) -> str | None:
    """Why this way of sampling cannot be run."""
    if known is None:
        return f"{name} is not among ditkit's solvers"
    if (spacing := _spacing(said, known)) not in known.grids:
        return f"{name} with timestep_spacing = {json.dumps(spacing)} is not among ditkit's time grids"
    for word, value in {**{word: values[0] for word, values in known.fixed.items()}, **said}.items():
        if word in known.fixed:
            if value not in known.fixed[word]:
                return f"{name} with {word} = {json.dumps(value)} is not among ditkit's solvers"
        elif value not in (None, False) and not word.startswith("_") and word not in (*EVERYWHERE, *WITHOUT_EFFECT, *known.idle):
            return f"{name} with {word} = {json.dumps(value)[:60]} is not among ditkit's solvers"
    return None


def _spacing(said: Config, known: KnownScheduler) -> str:
    return str(said.get("timestep_spacing", next(iter(known.grids))))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shown(said: Config, word: str) -> str:
    return json.dumps(said.get(word))[:60]
