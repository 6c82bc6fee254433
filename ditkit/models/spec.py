"""What the registry knows of a model: plain data, from which the objects are built."""

from dataclasses import dataclass, field
from typing import Literal

from ditkit.files.weights import WeightSource
from ditkit.models.dit import DiTParams
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.pixart import PixArtParams
from ditkit.models.sit import SiTParams
from ditkit.models.uvit import UViTParams

Params = DiTParams | SiTParams | UViTParams | DiT3DParams | PixArtParams
KINDS: dict[str, type[Params]] = {"dit": DiTParams, "sit": SiTParams, "uvit": UViTParams, "dit3d": DiT3DParams, "pixart": PixArtParams}
"""Which numbers the networks of a family have."""


@dataclass(frozen=True)
class Defaults:
    """What `ditkit sample` does when nothing is said.

    `guidance` is w in null + w (cond - null), `start` the time a run begins at, `grid` which times it visits, if not those that the
    solver visits by itself, `eta` the share of noise that it adds, `reuse_eta` that where evaluations are reused, if another: no forecast
    foresees fresh noise. `refused` says why the solver that came with the weights cannot be run, so that one has to be chosen.
    """

    solver: str
    steps: int
    guidance: float
    start: float = 1.0
    grid: str | None = None
    eta: float = 0.0
    reuse_eta: float | None = None
    refused: str | None = None


@dataclass(frozen=True)
class ModelSpec:
    """One model: its numbers, its noise schedule, its codec and how it was published.

    `published_guidance_offset` is what to add to the scale its paper quotes to get w (1 for U-ViT, which quotes w - 1).
    A model of point clouds has an `image_size` of 0 and says how many `points` a cloud has; its network takes any number.
    `schedule_numbers` are those of its noise schedule that are not the named one's own.
    `prediction` is what the network says (`diffusion.prediction`); `drops` begin the names of what else its training leaves in a file.
    `pipeline` is the class of diffusers' pipelines that hold it, where that is not its family's first.
    `limit` is what its scheduler keeps clean samples within (`diffusion.limit`).
    `object_size` is the side of the pictures in which it draws things alone beside their boxes, if it was trained on smaller ones too.
    `text` names the encoder of the prompts of a model that is asked in words. `shape` is the height and width of latents that are not
    square, of a network that takes any.
    """

    name: str
    family: str
    params: Params
    schedule: str
    codec: str
    image_size: int
    guided_channels: int
    defaults: Defaults
    weights: WeightSource = field(default_factory=WeightSource)
    classes: str | None = None
    published_guidance_offset: float = 0.0
    points: int = 0
    object_size: int | None = None
    text: str | None = None
    prediction: Literal["epsilon", "v", "sample", "score", "velocity", "reversed velocity"] = "epsilon"
    drops: tuple[str, ...] = ()
    pipeline: str | None = None
    schedule_numbers: tuple[tuple[str, float], ...] = ()
    shape: tuple[int, int] | None = None
    limit: tuple[float, float | None] | None = None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of one latent, or (3, points) of one cloud."""
        if self.points:
            return (self.params.channels, self.points)
        return (self.params.channels, *(self.shape or (self.params.input_size, self.params.input_size)))

    @property
    def makes(self) -> str:
        """What one sample is, in words."""
        return f"{self.points} points" if self.points else f"{self.image_size} x {self.image_size}"

    @property
    def label_count(self) -> int:
        """How many classes one can ask for, the null class not counted; 0 means unconditional, or asked in words."""
        return self.params.classes

    @property
    def can_be_guided(self) -> bool:
        """Whether the network has a null class, or a prompt, to guide away from."""
        if self.text:
            return True
        return self.params.classes > 0 and (not isinstance(self.params, UViTParams) or self.params.null_class)
