"""The configuration of every command as plain dataclasses: names, defaults and the checks that need nothing but the values.

A config group (sampler, cache) is a base class with one subclass per option. `name` says which option it is and cannot be set.
Below `ditkit.tasks` nobody sees these; they need neither torch nor Hydra.
"""

from dataclasses import dataclass, field
from typing import Any

from ditkit.config.checks import (
    check_budget,
    check_finite,
    check_folder,
    check_interval,
    check_known,
    check_least,
    check_positive,
    check_seed,
    check_share,
)
from ditkit.errors import ConfigError

PRECISIONS = ("float32", "bfloat16", "float16")
TEXT_PRECISIONS = ("float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda", "mps")
COMPATS = ("official", "diffusers")
OPTIMIZERS = ("adamw", "muon")
TRANSFERS = ("full", "diffit")
TRIALS = ("evaluations", "runs")
PENALTIES = ("multiply-adds", "branches")
POLICIES = ("every", "random", "top", "bottom", "similarity")
PEERS = ("diffusers", "cache-dit")
RULE_SETS = ("default", "fast", "published", "plain", "pull", "transplant")
PROTOCOLS = ("whole", "batches")
FRAMES = ("data", "box")
FEATURES = ("judge", "inception", "dinov2", "clip")


@dataclass
class SamplerConfig:
    """The group `sampler`: which solver, and what only that solver knows."""

    name: str = ""

    def __post_init__(self) -> None:
        _check_name("sampler", self)


@dataclass
class AutoSampler(SamplerConfig):
    """The solver that the model was published with."""

    name: str = "auto"


@dataclass
class DDIMConfig(SamplerConfig):
    name: str = "ddim"
    grid: str = "even"
    eta: float = 0.0


@dataclass
class DDPMConfig(SamplerConfig):
    name: str = "ddpm"
    grid: str = "even"
    variance: str = "learned"


@dataclass
class DPMSolver2Config(SamplerConfig):
    name: str = "dpm-solver-2"


@dataclass
class DPMSolverPPConfig(SamplerConfig):
    name: str = "dpm-solver++"
    grid: str = "diffusers"


@dataclass
class CacheConfig:
    """The group `cache`: which branches are reused instead of computed."""

    name: str = ""

    def __post_init__(self) -> None:
        _check_name("cache", self)


@dataclass
class NoCache(CacheConfig):
    """Compute everything."""

    name: str = "none"


@dataclass
class AutoCache(CacheConfig):
    """The best plan known for this model and solver."""

    name: str = "auto"


@dataclass
class EveryCache(CacheConfig):
    """Compute at every `period`-th evaluation; with a `budget`, reuse at as many evaluations as it takes, evenly spread."""

    name: str = "every"
    period: int = 2
    budget: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("cache.period", self.period, 1)
        if self.budget is not None:
            check_budget("cache.budget", self.budget)


@dataclass
class BudgetCache(CacheConfig):
    """A share of the run's multiply-adds to keep, by a rule that learns nothing: what a learned plan is to be compared with."""

    budget: float = 0.7
    period: int = 2  # one evaluation in this many computes everything

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget("cache.budget", self.budget)
        check_least("cache.period", self.period, 2)


@dataclass
class RandomCache(BudgetCache):
    """Branches drawn at random."""

    name: str = "random"
    seed: int = 0


@dataclass
class TopCache(BudgetCache):
    """The last blocks are reused."""

    name: str = "top"


@dataclass
class BottomCache(BudgetCache):
    """The first blocks are reused."""

    name: str = "bottom"


@dataclass
class SimilarityCache(CacheConfig):
    """What hardly changes on a few of the model's own trajectories is reused: by a budget, or by a `threshold` if one is given."""

    name: str = "similarity"
    budget: float = 0.7
    threshold: float | None = None
    longest: int = 3  # over how many evaluations an output may be reused
    samples: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget("cache.budget", self.budget)
        check_finite("cache.threshold", self.threshold)
        check_least("cache.threshold", self.threshold, 0)
        check_least("cache.longest", self.longest, 1)
        check_least("cache.samples", self.samples, 1)


@dataclass
class FileCache(CacheConfig):
    """A plan read from a file."""

    name: str = "file"
    path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ConfigError("cache=file needs a plan: --plan FILE or cache.path=FILE")


@dataclass
class CodecConfig:
    """What turns latents into pictures: a known `name`, or a `path` to one; neither is the model's own."""

    name: str | None = None
    path: str | None = None
    revision: str | None = None


@dataclass
class TextConfig:
    """What reads the prompts: a `path` to another text encoder than the model's own, and the precision that it is run in."""

    path: str | None = None  # a folder, a repository of the hub, or "random"; None: the one beside the weights, or the model's own
    revision: str | None = None
    precision: str = "float32"  # bfloat16 takes half of the memory

    def __post_init__(self) -> None:
        if self.precision == "float16":
            raise ConfigError("T5 overflows in float16; use text.precision=bfloat16 or float32")
        check_known("text precision", self.precision, TEXT_PRECISIONS)


@dataclass
class RuntimeConfig:
    """Where and how the arithmetic is done."""

    device: str = "auto"
    precision: str = "float32"
    threads: int | None = None
    compile: bool = False  # run as compiled graphs; the first pictures wait for the compiler

    def __post_init__(self) -> None:
        kind, _, index = self.device.partition(":")
        check_known("device", kind, DEVICES)
        if index and (kind != "cuda" or not index.isdecimal()):
            raise ConfigError(f"no device named '{self.device}'; a number follows only cuda, as in cuda:1")
        check_known("precision", self.precision, PRECISIONS)
        check_least("runtime.threads", self.threads, 1)


@dataclass
class ModelConfig:
    """Which model, with which weights, and where it runs."""

    model: str = "dit-emoji"
    weights: str | None = None  # a file, or "random"
    revision: str | None = None  # of weights that come from the hub
    compat: str = "official"  # whose equations: "official" or "diffusers"
    codec: CodecConfig = field(default_factory=CodecConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        check_known("compat", self.compat, COMPATS)


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
        check_seed(self.seed)
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
    mesh: bool = False  # also write a surface around each cloud

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("points", self.points, 16)


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
    layouts: str | None = None  # as JSON, in place of a file
    negative: str | None = None  # what to guide away from; None is the empty prompt
    text: TextConfig = field(default_factory=TextConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)
    recompute: bool = False  # gradient checkpointing: less memory, more time
    frames: int = 0  # of a strip that shows how each picture came about

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("frames", self.frames, 0)


@dataclass
class DataConfig:
    """What a model is trained on: a folder with one folder of images, or of clouds and meshes, per class; or an .npz.

    Latents of images are kept in `cache`.
    """

    path: str | None = None
    cache: str | None = None  # None is a folder beside the checkpoints
    augment: int = 8  # how many variants of each image are encoded
    mirror: bool = True
    categories: list[str] = field(default_factory=list)  # of clouds, by name; none is all there are
    balance: float = 1.0  # of clouds: 0 draws the categories as often as the data have them, 1 all alike
    stretch: float = 0.0  # of clouds: by up to this share along each axis

    def __post_init__(self) -> None:
        check_least("data.augment", self.augment, 1)
        check_finite("data.balance", self.balance)
        check_least("data.balance", self.balance, 0)
        check_share("data.stretch", self.stretch)


@dataclass
class TrainConfig:
    """`ditkit train`. Run again with the same values, it goes on from the last saved state."""

    model: str = "dit-emoji"
    data: DataConfig = field(default_factory=DataConfig)
    steps: int = 100_000
    batch: int = 256
    optimizer: str = "adamw"  # muon: for the matrices inside the blocks; learns more from each picture
    learning_rate: float = 1e-4
    warmup: int = 100  # steps until the rate is reached
    decay: int = 0  # steps at the end over which it falls to zero
    weight_decay: float = 0.0
    ema: float = 0.9999
    clip: float = 1.0  # largest norm of the gradient
    label_dropout: float = 0.1
    min_snr: float = 0.0  # weigh the loss by min(SNR, min_snr) / SNR; 0 is the published loss
    noisy_weight: float = 1.0  # and by min(1 / abar, noisy_weight), so that noisy levels count; 1 is the published loss
    seed: int = 0
    save_minutes: float = 5.0
    init: str | None = None  # weights to start from; a DiT-3D and a PixArt can start from the blocks of a DiT
    transfer: str = "full"  # with init: train everything, or as "diffit" only biases, norms, embeddings and new scale factors
    tensorboard: bool = False
    out: str = "runs/train"  # conf/train.yaml adds the name of the model
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            check_least(name, getattr(self, name), 1)
        for name in ("warmup", "decay", "weight_decay", "min_snr", "noisy_weight", "save_minutes"):
            check_finite(name, getattr(self, name))
            check_least(name, getattr(self, name), 0)
        for name in ("learning_rate", "clip"):
            check_finite(name, getattr(self, name))
            check_positive(name, getattr(self, name))
        for name in ("ema", "label_dropout"):
            check_share(name, getattr(self, name))
        check_known("optimizer", self.optimizer, OPTIMIZERS)
        check_known("transfer", self.transfer, TRANSFERS)
        if self.transfer != "full" and self.init is None:
            raise ConfigError(f"transfer={self.transfer} trains a small part of a model; say which model with init=WEIGHTS")
        check_seed(self.seed)
        check_folder(self.out)


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
    data: DataConfig = field(default_factory=DataConfig)  # no path: the model's own trajectories
    samples: int = 64  # how many trajectories
    budget: float | None = 0.7  # share of a run's multiply-adds to keep; null: keep what scores above the threshold
    threshold: float = 0.5
    price: float = 1e-4  # of computing one branch, in units of the mean squared error; with a budget only where it starts
    penalty: str = "multiply-adds"  # or "branches": all alike, as published
    straight_through: bool = False  # decide by the threshold in the forward pass
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
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold must be between 0 and 1, not {self.threshold:g}")
        check_known("penalty", self.penalty, PENALTIES)
        check_known("trial", self.trial, TRIALS)
        if self.trial == "runs" and self.data.path is not None:
            raise ConfigError("whole runs are the model's own and need no data; leave out --data, or say trial=evaluations")
        check_seed(self.seed)
        check_folder(self.out)


@dataclass
class BenchConfig(ModelConfig):
    """`ditkit bench`: what is gained and what is lost, against the same run without a plan."""

    steps: int | None = None  # network evaluations of the uncached run and of every plan
    sampler: SamplerConfig = field(default_factory=AutoSampler)
    guidance: float | None = None
    prompts: list[str] = field(default_factory=list)  # of a model that is asked in words, in turn
    prompt_file: str | None = None  # one prompt on each line, after those above
    text: TextConfig = field(default_factory=TextConfig)
    plans: list[str] = field(default_factory=list)  # files; none: those that ditkit ships for this run
    policies: list[str] = field(default_factory=lambda: ["similarity", "every", "random", "top", "bottom"])  # or NAME:BUDGET
    budget: float | None = None  # of the policies; None is that of the first plan, or 0.7 if there is none
    fewer: list[int] = field(default_factory=list)  # evaluations of the baselines; none: those that cost as much as the budget
    boxes: str | None = None  # compare sets of rules for these layouts instead, as `ditkit ground` reads them
    rules: list[str] = field(default_factory=lambda: ["pull", "transplant", "default", "fast"])  # of boxes, beside plain
    detector: str | None = None  # of things in boxes; None is the judge if the model draws what it knows, and else nobody
    against: list[str] = field(default_factory=list)  # other engines on the same weights: diffusers, cache-dit
    reference: str | None = None  # real pictures, for Frechet distances; of boxes, drawings to put into them
    count: int | None = None  # images each way; None is 64, or one of each layout
    batch: int = 16
    seed: int = 0
    out: str = "runs/bench"  # conf/bench.yaml adds the name of the model

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("steps", self.steps, 1)
        for name in ("count", "batch"):
            check_least(name, getattr(self, name), 1)
        for rules in self.rules:
            check_known("set of rules", rules, RULE_SETS)
        for evaluations in self.fewer:
            check_least("fewer", evaluations, 1)
        check_finite("guidance", self.guidance)
        if self.budget is not None:
            check_budget("budget", self.budget)
        for policy in self.policies:
            check_policy(policy)
        for peer in self.against:
            check_known("engine", peer, PEERS)
        check_seed(self.seed)
        check_folder(self.out)


@dataclass
class ReferenceConfig:
    """What samples are compared with: clouds for evaluation, a folder of images or an .npz; of clouds, those of some categories."""

    path: str | None = None
    categories: list[str] = field(default_factory=list)  # none: those of the samples


@dataclass
class EvalConfig:
    """`ditkit eval`: every number that says how good samples are."""

    targets: list[str] = field(default_factory=list)  # run folders, folders or .npz of samples; or "judge", or a codec
    data: ReferenceConfig = field(default_factory=ReferenceConfig)
    real: bool = False  # also measure real ones in place of samples, which no model can be expected to beat
    distances: list[str] = field(default_factory=lambda: ["cd"])  # between clouds
    points: int | None = None  # of a cloud; None is as many as all have
    frame: str = "data"  # coordinates as they are; "box": each cloud's bounding box centred, its largest half-extent 1
    protocol: str = "whole"  # sets of clouds at once; "batches": in batches of `batch`, averaged, as DiT-3D's test script does
    batch: int = 64
    features: str = "judge"  # that pictures are compared in; inception needs ditkit[metrics], dinov2 and clip a folder
    feature_weights: str | None = None
    detector: str = "judge"  # of things in boxes; or a folder with an OWL-ViT or OWLv2
    prompts: str | None = None  # a benchmark's file: judge pictures that were asked for with its prompts by its rules
    across: bool = False  # compare runs of different models
    resamples: int = 1000
    seed: int = 0
    out: str | None = None
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        check_known("feature network", self.features, FEATURES)
        check_known("frame", self.frame, FRAMES)
        check_known("protocol", self.protocol, PROTOCOLS)
        check_least("points", self.points, 16)
        for name in ("batch", "resamples"):
            check_least(name, getattr(self, name), 2)
        check_seed(self.seed)
        check_folder(self.out)


COMMANDS: dict[str, type] = {
    "bench": BenchConfig,
    "eval": EvalConfig,
    "gen3d": Gen3DConfig,
    "ground": GroundConfig,
    "sample": SampleConfig,
    "train": TrainConfig,
    "train-router": TrainRouterConfig,
}
GROUPS: dict[str, tuple[type[SamplerConfig] | type[CacheConfig], ...]] = {
    "sampler": (AutoSampler, DDIMConfig, DDPMConfig, DPMSolver2Config, DPMSolverPPConfig),
    "cache": (NoCache, AutoCache, EveryCache, RandomCache, TopCache, BottomCache, SimilarityCache, FileCache),
}


def check_policy(words: str) -> None:
    """A policy that makes a plan for a budget: NAME, or NAME:BUDGET."""
    name, _, budget = words.partition(":")
    check_known("policy", name, POLICIES)
    if budget:
        try:
            check_budget("budget", float(budget))
        except ValueError as error:
            raise ConfigError(f"cannot read the budget of '{words}'; write {name}:0.7") from error


def option(group: str, name: str, **values: Any) -> Any:
    """The option `name` of a group with these values: `option("cache", "every", period=3)`; raises `UnknownName`."""
    known = {choice.name: choice for choice in GROUPS[group]}
    check_known("solver" if group == "sampler" else group, name, list(known))
    return known[name](**values)


def _check_name(group: str, config: SamplerConfig | CacheConfig) -> None:
    if config.name != type(config).name:
        raise ConfigError(f"{group}.name cannot be set; choose with {group}={config.name}")
