"""The commands that sample into a run folder: `sample`, `gen3d` and `ground`."""

from dataclasses import dataclass, field

from ditkit.config.checks import check_finite, check_folder, check_interval, check_known, check_least, check_seeds
from ditkit.config.schema.groups import CacheConfig, NoCache
from ditkit.config.schema.model import ModelConfig, TextConfig
from ditkit.config.schema.samplers import AutoSampler, SamplerConfig

PART_FRAMES = ("auto", "model", "part")
RULE_SETS = ("default", "fast", "published", "plain", "pull", "transplant")


@dataclass
class RunConfig(ModelConfig):
    """What every command has that samples into a run folder. None means the model's own default."""

    source: str | None = None  # the manifest of a run to repeat
    classes: list[str] = field(default_factory=list)  # names or numbers; none is a spread over all
    count: int | None = None  # 16, or one for each prompt
    seed: int = 0
    steps: int | None = None  # network evaluations
    guidance: float | None = None  # w in null + w (cond - null)
    guidance_interval: list[float] | None = None  # guide only at model times from ... to ...
    batch: int = 16
    out: str | None = None  # None is a folder in runs/ named after the model and the request
    sampler: SamplerConfig = field(default_factory=AutoSampler)
    cache: CacheConfig = field(default_factory=NoCache)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("count", "steps", "batch"):
            check_least(name, getattr(self, name), 1)
        check_seeds(self.seed, self.count)
        check_finite("guidance", self.guidance)
        check_interval(self.guidance_interval)
        check_folder(self.out)


@dataclass
class SampleConfig(RunConfig):
    """`ditkit sample`. The `count` of a model that is asked in words is for each prompt."""

    prompts: list[str] = field(default_factory=list)
    prompt_file: str | None = None  # one prompt on each line, after those above
    negative: str | None = None  # what to guide away from; None is the empty prompt
    height: int | None = None  # of the pictures of a model that is asked in words, in pixels
    width: int | None = None
    text: TextConfig = field(default_factory=TextConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("height", "width"):
            check_least(name, getattr(self, name), 8)


@dataclass
class Gen3DConfig(RunConfig):
    """`ditkit gen3d`: as `ditkit sample`, for models of point clouds; `classes` are their categories."""

    model: str = "dit3d-shapes"
    count: int | None = 4
    points: int | None = None  # of a cloud; None is the model's own number
    partial: str | None = None  # a cloud to complete: its points stay, the rest is made
    frame: str = "auto"  # its coordinates: the model's, those of the part itself, or whichever they look like
    mesh: bool = False  # also write a surface around each cloud

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("points", self.points, 16)
        check_known("frame", self.frame, PART_FRAMES)


@dataclass
class RulesConfig:
    """How boxes are enforced: a set of rules by `name`, and what is to be otherwise; None is as in that set."""

    name: str = "default"  # or fast, published; plain, pull, transplant: nothing, or one half of it, for comparison
    share: float | None = None  # of the steps that are grounded, from the first
    pulls: int | None = None  # in a step, at most; 0: none
    weight: float | None = None  # of a pull
    scale: float | None = None  # of the loss that pulls
    stop: float | None = None  # pull no more once the scaled loss is this small
    enough: float | None = None  # overlap of attention and box from which a phrase is not pulled
    transplant: float | None = None  # how much of an object's patch is put into its box; 0: none
    blocks: float | None = None  # share of the network's blocks, from the first, whose attention is looked at

    def __post_init__(self) -> None:
        check_known("set of rules", self.name, RULE_SETS)


@dataclass
class GroundConfig(RunConfig):
    """`ditkit ground`. What to draw is a file of `boxes`, or a `prompt` with a `box` for each thing, or nothing: the shipped example."""

    model: str = "pixart-emoji"
    count: int | None = 1  # for each layout
    batch: int = 4
    boxes: str | None = None  # layouts as .json or .jsonl; or held-out, a hundred that ship
    prompt: str | None = None
    box: list[str] = field(default_factory=list)  # "dog: 0.1,0.2,0.5,0.9"
    height: int | None = None  # of the picture of a prompt, in pixels
    width: int | None = None
    layouts: str | None = None  # as JSON, in place of a file
    negative: str | None = None  # what to guide away from; None is the empty prompt
    text: TextConfig = field(default_factory=TextConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)
    recompute: bool = False  # gradient checkpointing: less memory, more time
    frames: int = 0  # of a strip that shows how each picture came about

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("height", "width"):
            check_least(name, getattr(self, name), 8)
        check_least("frames", self.frames, 0)
