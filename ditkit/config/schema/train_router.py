"""`ditkit train-router`."""

from dataclasses import dataclass, field

from ditkit.config.checks import (
    check_budget,
    check_finite,
    check_folder,
    check_known,
    check_least,
    check_part,
    check_positive,
    check_seeds,
)
from ditkit.config.schema.model import ModelConfig, TextConfig
from ditkit.config.schema.samplers import AutoSampler, SamplerConfig
from ditkit.config.schema.train import DataConfig
from ditkit.errors import ConfigError

TRIALS = ("evaluations", "runs")
PENALTIES = ("multiply-adds", "branches")


@dataclass
class TrainRouterConfig(ModelConfig):
    """`ditkit train-router`. Run again with the same values, it goes on from the last saved state."""

    sampler: SamplerConfig = field(default_factory=AutoSampler)
    evaluations: int | None = None  # of the runs that the plan is for; None is the model's default
    guidance: float | None = None  # of teacher and student; None is the model's default
    prompts: list[str] = field(default_factory=list)  # of a model that is asked in words, in turn
    prompt_file: str | None = None  # one prompt on each line, after those above
    text: TextConfig = field(default_factory=TextConfig)
    period: int = 2  # one evaluation in this many computes everything; from `evaluations` on only the first does
    trial: str = "evaluations"  # what an error is of: one evaluation at a time, as published, or the end of whole "runs"
    forecasts: bool = False  # no scores: evaluations are forecast as a whole, by a search
    data: DataConfig = field(default_factory=DataConfig)  # no path: the model's own trajectories
    samples: int = 64  # how many trajectories
    budget: float | None = 0.7  # share of a run's multiply-adds to keep; null: keep what scores above the threshold
    max_error: float | None = None  # of forecasts, in place of a budget: keep as little as ends that near
    speed_up: float | None = None  # of forecasts, in place of a budget: keep this part of a run
    order: int | None = None  # how many outputs a forecast is made from; None: 2, or where scores are learned, outputs are held
    begin: str | None = None  # a plan to begin with, of whole runs; of forecasts one whose choice is tried too, at its cost
    recompute: bool = False  # of whole runs: make the graph of each evaluation again in the backward pass, for less memory
    search: bool = True  # of forecasts: choose evaluations in miniature; false: evenly spread
    iterations: int = 2  # of forecasts: refinements of the weights on whole runs
    threshold: float = 0.5
    price: float = 1e-4  # of computing one branch, in units of the mean squared error; with a budget only where it starts
    penalty: str = "multiply-adds"  # or "branches": all alike, as published
    straight_through: bool = False  # decide in the forward pass as the plan will, by the budget or else the threshold
    start: float | None = 0.0  # of every score before the sigmoid; null draws them from a standard normal, as published
    clamp: float | None = 5.0
    steps: int = 500  # updates of the scores
    batch: int = 20
    learning_rate: float = 0.05
    decay: int = 100  # steps at the end over which it falls to zero
    seed: int = 0
    save_minutes: float = 2.0
    out: str = "runs/router"  # conf/train-router.yaml adds the name of the model

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("evaluations", "period"):
            check_least(name, getattr(self, name), 2)
        for name in ("samples", "steps", "batch"):
            check_least(name, getattr(self, name), 1)
        for name in ("price", "decay", "save_minutes"):
            check_finite(name, getattr(self, name))
            check_least(name, getattr(self, name), 0)
        for name in ("guidance", "start"):
            check_finite(name, getattr(self, name))
        for name in ("learning_rate", "clamp"):
            check_finite(name, getattr(self, name))
            check_positive(name, getattr(self, name))
        if self.budget is not None:
            check_budget("budget", self.budget)
        self._check_forecasts()
        check_part("threshold", self.threshold)
        check_known("penalty", self.penalty, PENALTIES)
        check_known("trial", self.trial, TRIALS)
        if self.trial == "runs" and self.data.path is not None:
            raise ConfigError("whole runs are the model's own and need no data; leave out --data, or say recipe=fast")
        check_seeds(self.seed, self.samples)
        check_folder(self.out)

    def _check_forecasts(self) -> None:
        if self.max_error is not None and self.speed_up is not None:
            raise ConfigError("give either max_error or speed_up: each of them says what to keep")
        for name, least in (("max_error", 0.0), ("speed_up", 1.0)):
            value = getattr(self, name)
            check_finite(name, value)
            if value is not None and value <= least:
                raise ConfigError(f"{name} must be more than {least:g}, not {value:g}")
            if value is not None and not self.forecasts:
                raise ConfigError(f"{name} is for forecasts of whole evaluations; say recipe=forecast")
        if self.begin is not None and self.trial != "runs" and not self.forecasts:
            raise ConfigError("whole runs can begin with a plan; say recipe=runs or recipe=forecast")
        if self.order is not None and self.trial == "evaluations" and not self.forecasts:
            raise ConfigError("single evaluations learn what to reuse, not forecasts; say recipe=runs or recipe=forecast")
        if self.order is not None and not 1 <= self.order <= 3:
            raise ConfigError(f"order must be 1, 2 or 3, not {self.order}")
        check_least("iterations", self.iterations, 0)
