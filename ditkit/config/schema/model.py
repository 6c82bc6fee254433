"""Which model a command takes, with which weights, and where it runs."""

from dataclasses import dataclass, field

from ditkit.config.checks import check_known, check_least
from ditkit.errors import ConfigError

PRECISIONS = ("float32", "bfloat16", "float16")
TEXT_PRECISIONS = ("float32", "bfloat16", "int8")
DEVICES = ("auto", "cpu", "cuda", "mps")
COMPATS = ("official", "diffusers")


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
    precision: str = "float32"  # bfloat16 takes half of the memory, int8 a quarter (by torchao)

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
    graphs: bool | None = None  # record a batch's run as one CUDA graph, from the second of its size on; None: where it is compiled

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
    weights: str | None = None  # a file or folder, or "random"
    weights_key: str | None = None  # which set of weights in it, where there are several; None is their average
    revision: str | None = None  # of weights that come from the hub
    lora: list[str] = field(default_factory=list)  # adapters to merge into them, each FILE or FILE:SCALE
    compat: str = "official"  # whose equations: "official" or "diffusers"
    guidance_channels: int | None = None  # how many channels of the output are guided, from the first; None is as the model was published
    codec: CodecConfig = field(default_factory=CodecConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        check_known("compat", self.compat, COMPATS)
        check_least("guidance_channels", self.guidance_channels, 1)
