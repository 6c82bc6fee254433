"""`ditkit bench`."""

from dataclasses import dataclass, field

from ditkit.config.checks import check_budget, check_finite, check_folder, check_known, check_least, check_positive, check_seeds
from ditkit.config.numbers import number
from ditkit.config.schema.model import ModelConfig, TextConfig
from ditkit.config.schema.runs import RULE_SETS
from ditkit.config.schema.samplers import AutoSampler, SamplerConfig
from ditkit.errors import ConfigError

POLICIES = ("every", "random", "top", "bottom", "similarity", "forecast", "l2p")
PEERS = ("diffusers", "cache-dit", "dpm-solver++")


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
    budget: float | None = None  # of the policies; None: of the first plan that only holds, else of the first, else 0.7
    fewer: list[int] = field(default_factory=list)  # evaluations of the baselines; none: those that cost as much as the budget
    converged: int = 10  # times the evaluations of the run that errors are also measured to; 0: only to the uncached run
    boxes: str | None = None  # compare sets of rules for these layouts instead, as `ditkit ground` reads them
    rules: list[str] = field(default_factory=lambda: ["pull", "transplant", "default", "fast"])  # of boxes, beside plain
    detector: str | None = None  # of things in boxes; None is the judge if the model draws what it knows, and else nobody
    against: list[str] = field(default_factory=list)  # on the same weights: the engines diffusers and cache-dit, or dpm-solver++
    parts: bool = False  # time the parts of an evaluation instead
    gpu_report: bool = False  # measure instead what a GPU makes of the large models, or of this one, in every mode
    minutes: float = 8.0  # that the report may take; what does not fit into them is not measured, and the same command goes on
    beside: list[str] = field(default_factory=list)  # other models whose parts are timed in turns with this one's
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
        check_least("converged", self.converged, 0)
        check_finite("minutes", self.minutes)
        check_positive("minutes", self.minutes)
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
        check_seeds(self.seed, self.count)
        check_folder(self.out)


def check_policy(words: str) -> None:
    """A policy that makes a plan for a budget: NAME, or NAME:BUDGET."""
    name, _, budget = words.partition(":")
    check_known("policy", name, POLICIES)
    if budget:
        if (share := number(budget)) is None:
            raise ConfigError(f"cannot read the budget of '{words}'; write {name}:0.7")
        check_budget("budget", share)
