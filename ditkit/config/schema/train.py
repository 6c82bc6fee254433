"""`ditkit train`, and the data that models learn from."""

from dataclasses import dataclass, field
from typing import Any

from ditkit.config.checks import (
    check_colour,
    check_finite,
    check_folder,
    check_known,
    check_least,
    check_part,
    check_positive,
    check_seed,
    check_share,
)
from ditkit.config.schema.model import CodecConfig, RuntimeConfig
from ditkit.errors import ConfigError

OPTIMIZERS = ("adamw", "muon")
LEVELS = ("even", "weighted")
TRANSFERS = ("full", "diffit", "decoder")
PREDICTIONS, PATHS, WEIGHTINGS = ("velocity", "epsilon", "sample", "score"), ("linear", "gvp", "vp"), ("none", "velocity", "likelihood")


@dataclass
class DataConfig:
    """What a model is trained on: a folder with one folder of images, or of clouds and meshes, per class; or an .npz.

    Latents of images, composed ones included, are kept in `cache`.
    """

    path: str | None = None
    cache: str | None = None  # None is a folder beside the checkpoints
    augment: int = 8  # how many variants of each image are encoded
    mirror: bool = True
    background: str = "white"  # of images, where they are transparent, and of sprites
    categories: list[str] = field(default_factory=list)  # of clouds, by name; none is all there are
    balance: float = 1.0  # of clouds: 0 draws the categories as often as the data have them, 1 all alike
    stretch: float = 0.0  # of clouds: by up to this share along each axis

    def __post_init__(self) -> None:
        check_least("data.augment", self.augment, 1)
        check_finite("data.balance", self.balance)
        check_least("data.balance", self.balance, 0)
        check_share("data.stretch", self.stretch)
        check_colour("data.background", self.background)


@dataclass
class ScenesConfig:
    """What the composed pictures show that a model learns words from: fewer and simpler ones first, for they are learned much sooner."""

    filling: float = 0.42  # share of pictures of one object that fills the frame
    white: float = 0.25  # share of pictures on white
    # share of batches of pictures a quarter to half as large, as things in boxes are, of one object each; for ae-emoji, of several so small
    small: float = 0.0
    nouns: Any = None  # only the first so many, or those of a list; None: all
    styles: list[str] | None = None  # only drawings in these; None: all
    side: int | None = None  # of square pictures, in pixels; None: all the model's shapes
    pool: int = 0  # how many pictures of every shape are shown again and again, encoded once; 0: every picture is a new one

    def __post_init__(self) -> None:
        for name in ("filling", "white", "small"):
            check_part(f"scenes.{name}", getattr(self, name))
        self._check_nouns()
        check_least("scenes.side", self.side, 8)
        check_least("scenes.pool", self.pool, 0)

    def _check_nouns(self) -> None:
        if isinstance(self.nouns, list) and self.nouns and all(isinstance(noun, str) for noun in self.nouns):
            if twice := [noun for noun in self.nouns if self.nouns.count(noun) > 1]:
                raise ConfigError(f"scenes.nouns names {twice[0]} more than once")
            return
        if self.nouns is not None and not isinstance(self.nouns, int):
            raise ConfigError(f"scenes.nouns is a number of nouns or a list of them, as in [cat,ice cream], not {self.nouns!r}")
        check_least("scenes.nouns", self.nouns, 1)


@dataclass
class LoraConfig:
    """A LoRA in place of new weights: of that `rank`, 0: none; its changes count `alpha` / rank times, None: once."""

    rank: int = 0
    alpha: float | None = None

    def __post_init__(self) -> None:
        check_least("lora.rank", self.rank, 0)
        if self.alpha is not None:
            check_finite("lora.alpha", self.alpha)
            check_positive("lora.alpha", self.alpha)

    @property
    def strength(self) -> float:
        return float(self.rank) if self.alpha is None else self.alpha


@dataclass
class FlowConfig:
    """What a flow learns; of a model with a noise schedule none of it is asked."""

    prediction: str | None = None  # velocity, epsilon, sample or score; None is the model's own
    path: str | None = None  # linear, gvp or vp; None is the model's own
    weighting: str = "none"  # of the error of a predicted noise or score: as a "velocity" or for the "likelihood"
    mean: float = 0.0  # of the normal variable whose logistic the time is
    deviation: float = 0.0  # of that; 0: times are uniform, as published

    def __post_init__(self) -> None:
        for name, known in (("prediction", PREDICTIONS), ("path", PATHS)):
            if getattr(self, name) is not None:
                check_known(f"flow.{name}", getattr(self, name), known)
        check_known("flow.weighting", self.weighting, WEIGHTINGS)
        check_finite("flow.mean", self.mean)
        check_finite("flow.deviation", self.deviation)
        check_least("flow.deviation", self.deviation, 0)


@dataclass
class TrainConfig:
    """`ditkit train`. Run again with the same values, it goes on from the last saved state."""

    model: str = "dit-emoji"
    data: DataConfig = field(default_factory=DataConfig)
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)
    classes: int | None = None  # that the network has room for; None: as many as the data have, if the model has no fewer
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
    levels: str = "even"  # weighted: draw every noise level as often as it weighs instead of weighing it
    start: float = 1.0  # leave out the noise levels above this share of the schedule, for a model that is sampled from there
    seed: int = 0
    save_minutes: float = 5.0
    minutes: float | None = None  # after which to stop for now; the same command goes on
    init: str | None = None  # weights to start from; a DiT-3D and a PixArt can start from the blocks of a DiT
    weights_key: str | None = None  # with init: which set of weights in it, where there are several; None is their average
    # with init: train everything, as "diffit" only biases, norms, embeddings and new scale factors, or of ae-emoji the "decoder" alone
    transfer: str = "full"
    tensorboard: bool = False
    out: str = "runs/train"  # conf/train.yaml adds the name of the model
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "classes"):
            check_least(name, getattr(self, name), 1)
        for name in ("warmup", "decay", "weight_decay", "min_snr", "noisy_weight", "save_minutes"):
            check_finite(name, getattr(self, name))
            check_least(name, getattr(self, name), 0)
        for name in ("learning_rate", "clip"):
            check_finite(name, getattr(self, name))
            check_positive(name, getattr(self, name))
        if self.minutes is not None:
            check_finite("minutes", self.minutes)
            check_positive("minutes", self.minutes)
        for name in ("ema", "label_dropout"):
            check_share(name, getattr(self, name))
        check_known("optimizer", self.optimizer, OPTIMIZERS)
        check_known("levels", self.levels, LEVELS)
        check_known("transfer", self.transfer, TRANSFERS)
        if self.transfer != "full" and self.init is None:
            raise ConfigError(f"transfer={self.transfer} trains a small part of a model; say which model with init=WEIGHTS")
        if self.weights_key is not None and self.init is None:
            raise ConfigError(f"weights_key={self.weights_key} chooses among the weights to start from; say which file with init=WEIGHTS")
        check_positive("start", self.start)
        check_part("start", self.start)
        if self.lora.rank and (self.init is None or self.transfer != "full"):
            raise ConfigError("a LoRA changes weights that are there: say which with init=WEIGHTS, and leave out transfer=")
        check_seed(self.seed)
        check_folder(self.out)
