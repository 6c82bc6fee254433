"""The configuration of every command as plain dataclasses: names, defaults and the checks that need nothing but the values.

Below `ditkit.tasks` nobody sees these; they need neither torch nor Hydra.
"""

from ditkit.config.schema.accelerate import AccelerateConfig
from ditkit.config.schema.bench import BenchConfig
from ditkit.config.schema.eval import EvalConfig, ReferenceConfig
from ditkit.config.schema.groups import (
    GROUPS,
    AutoCache,
    BottomCache,
    BudgetCache,
    CacheConfig,
    EveryCache,
    FileCache,
    ForecastCache,
    NoCache,
    RandomCache,
    SimilarityCache,
    TopCache,
    option,
)
from ditkit.config.schema.model import CodecConfig, ModelConfig, RuntimeConfig, TextConfig
from ditkit.config.schema.runs import RULE_SETS, Gen3DConfig, GroundConfig, RulesConfig, RunConfig, SampleConfig
from ditkit.config.schema.samplers import (
    AutoSampler,
    DDIMConfig,
    DDPMConfig,
    Dopri5Config,
    DPMSolver2Config,
    DPMSolverPPConfig,
    SamplerConfig,
)
from ditkit.config.schema.train import DataConfig, FlowConfig, LoraConfig, ScenesConfig, TrainConfig
from ditkit.config.schema.train_router import TrainRouterConfig

COMMANDS: dict[str, type] = {
    "accelerate": AccelerateConfig,
    "bench": BenchConfig,
    "eval": EvalConfig,
    "gen3d": Gen3DConfig,
    "ground": GroundConfig,
    "sample": SampleConfig,
    "train": TrainConfig,
    "train-router": TrainRouterConfig,
}

__all__ = [
    "COMMANDS",
    "GROUPS",
    "RULE_SETS",
    "AccelerateConfig",
    "AutoCache",
    "AutoSampler",
    "BenchConfig",
    "BottomCache",
    "BudgetCache",
    "CacheConfig",
    "CodecConfig",
    "DDIMConfig",
    "DDPMConfig",
    "DPMSolver2Config",
    "DPMSolverPPConfig",
    "DataConfig",
    "Dopri5Config",
    "EvalConfig",
    "EveryCache",
    "FileCache",
    "FlowConfig",
    "ForecastCache",
    "Gen3DConfig",
    "GroundConfig",
    "LoraConfig",
    "ModelConfig",
    "NoCache",
    "RandomCache",
    "ReferenceConfig",
    "RulesConfig",
    "RunConfig",
    "RuntimeConfig",
    "SampleConfig",
    "SamplerConfig",
    "ScenesConfig",
    "SimilarityCache",
    "TextConfig",
    "TopCache",
    "TrainConfig",
    "TrainRouterConfig",
    "option",
]
