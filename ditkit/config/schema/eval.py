"""`ditkit eval`."""

from dataclasses import dataclass, field

from ditkit.config.checks import check_colour, check_folder, check_known, check_least, check_seed
from ditkit.config.schema.model import RuntimeConfig

PROTOCOLS = ("whole", "batches")
FRAMES = ("data", "box")
FEATURES = ("judge", "inception", "dinov2", "clip")


@dataclass
class ReferenceConfig:
    """What samples are compared with: clouds for evaluation, a folder of images or an .npz; of clouds, those of some categories."""

    path: str | None = None
    categories: list[str] = field(default_factory=list)  # none: those of the samples
    background: str = "white"  # of pictures, samples too, where they are transparent

    def __post_init__(self) -> None:
        check_colour("data.background", self.background)


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
    save_npz: str | None = None  # write the pictures of the one target, or of data with their moments, as ADM's evaluator reads them
    across: bool = False  # compare runs of different models or weights
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
