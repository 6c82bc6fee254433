"""`ditkit accelerate`."""

from dataclasses import dataclass, field

from ditkit.config.checks import check_budget, check_finite, check_least, check_seed
from ditkit.config.schema.model import RuntimeConfig
from ditkit.errors import ConfigError


@dataclass
class PipelineConfig:
    """What a diffusers pipeline is asked for, beside its prompts."""

    guidance: float | None = None  # its guidance_scale
    height: int | None = None
    width: int | None = None
    negative: str | None = None

    def __post_init__(self) -> None:
        check_finite("ask.guidance", self.guidance)
        for name in ("height", "width"):
            check_least(f"ask.{name}", getattr(self, name), 1)


@dataclass
class AccelerateConfig:
    """`ditkit accelerate`: a plan for any diffusers pipeline, and what it gains and loses."""

    pipeline: str = ""  # a folder, or a repository of the hub
    revision: str | None = None
    prompts: list[str] = field(default_factory=list)  # or classes by number, where a pipeline takes these
    prompt_file: str | None = None  # one prompt on each line, after those above
    steps: int = 28  # its num_inference_steps
    budget: float = 0.5  # the share of evaluations at which the denoiser is called
    order: int = 2  # outputs that a forecast is made from
    module: str | None = None  # the denoiser, if it is neither `transformer` nor `unet`
    measured: int = 4  # prompts, the last ones, on which runs with and without the plan are compared; 0: none
    seed: int = 0
    ask: PipelineConfig = field(default_factory=PipelineConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    out: str = "plan.json"  # the page is written beside it

    def __post_init__(self) -> None:
        check_least("steps", self.steps, 2)
        check_least("measured", self.measured, 0)
        check_budget("budget", self.budget)
        check_seed(self.seed)
        if self.order not in (1, 2, 3):
            raise ConfigError(f"order must be 1, 2 or 3, not {self.order}")
        if not self.out.endswith(".json"):
            raise ConfigError(f"a plan is a .json file; write --out {self.out}.json")
