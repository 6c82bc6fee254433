"""Networks whose features pictures are compared in: the bundled judge, Inception-v3 as FID takes it, DINOv2 and CLIP from a folder.

Shapes: B pictures, D features, C classes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.codecs.codec import from_uint8
from ditkit.errors import CheckpointError, DataError, MissingDependency
from ditkit.files.weights import locate
from ditkit.metrics.pretrained import loading, whole
from ditkit.models.judge import JUDGE, load_judge

JUDGE_SIDE = 64
SPATIAL = 8  # channels of the judge's 4 x 4 map that sFID compares; ADM takes 7 of Inception's 17 x 17
MEANS = {  # and deviations, of a colour channel in 0 ... 1, that each network was trained with
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


@dataclass(frozen=True)
class Seen:
    """What a network makes of pictures: `pooled` (B, D), `spatial` (B, D'), `probabilities` (B, C); not every one makes all."""

    pooled: Tensor
    spatial: Tensor | None = None
    probabilities: Tensor | None = None


@dataclass(frozen=True)
class FeatureNetwork:
    """`see` takes uint8 pictures (B, 3, H, W); `digest` names the weights, `input` says how pictures are brought to it."""

    name: str
    digest: str
    input: str
    see: Callable[[Tensor], Seen]


def find_network(name: str, path: str | None, device: torch.device) -> FeatureNetwork:
    """The network of that name, with the weights at `path` where it needs any; raises `MissingDependency` or `CheckpointError`."""
    match name:
        case "judge":
            return _judge(path, device)
        case "inception":
            return _inception(path, device)
        case "dinov2" | "clip":
            return _transformer(name, path, device)
    raise AssertionError(name)


def check_square(height: int, width: int) -> None:
    """Raise `DataError` for pictures that the judge, who sees squares, cannot be shown."""
    if height != width:
        raise DataError(f"the judge sees square pictures, these are {width} x {height}; take features=inception, dinov2 or clip")


def _judge(path: str | None, device: torch.device) -> FeatureNetwork:
    judge = load_judge(path).to(device)
    file = locate(JUDGE, path)
    assert file is not None

    @torch.inference_mode()
    def see(pictures: Tensor) -> Seen:
        height, width = pictures.shape[2:]
        check_square(height, width)
        images = from_uint8(pictures.to(device))
        if height != JUDGE_SIDE:
            images = F.interpolate(images, (JUDGE_SIDE, JUDGE_SIDE), mode="bilinear", antialias=True)
        spatial = judge.spatial(images)
        pooled = spatial.mean(dim=(2, 3))
        return Seen(pooled, spatial[:, :SPATIAL].flatten(1), judge.head(pooled).softmax(1))

    side = f"{JUDGE_SIDE} x {JUDGE_SIDE}"
    return FeatureNetwork("judge", _digest(file.path), f"as they are if {side}, else resized to that, bilinear with antialiasing", see)


def _inception(path: str | None, device: torch.device) -> FeatureNetwork:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import (  # pyright: ignore[reportMissingImports]
            FeatureExtractorInceptionV3,
        )
    except ImportError as error:
        raise MissingDependency(
            "features=inception needs torch-fidelity, which brings torchvision; pip install 'ditkit[metrics]', or take features=judge"
        ) from error
    if path:
        wrong, way_out = f"feature_weights={path} is not the Inception-v3 of torch-fidelity", "; without feature_weights it is fetched"
    else:
        wrong, way_out = "torch-fidelity cannot fetch its Inception-v3", "; give its file with feature_weights=FILE"
    with loading(wrong, way_out):
        extractor = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], path)
    extractor.to(device)

    @torch.inference_mode()
    def see(pictures: Tensor) -> Seen:
        pooled, logits = extractor(pictures.to(device))
        return Seen(pooled, None, logits.softmax(1))

    return FeatureNetwork("inception-v3-compat", _digest_of(extractor), "resized to 299 x 299 as TensorFlow 1 does", see)


def _transformer(name: str, path: str | None, device: torch.device) -> FeatureNetwork:
    if path is None or not Path(path).is_dir():
        raise CheckpointError(f"features={name} needs a folder with config.json and weights: feature_weights=FOLDER")
    network, side = _load(name, Path(path))
    network.to(device)
    mean, deviation = (torch.tensor(value, device=device)[:, None, None] for value in MEANS[name])

    @torch.inference_mode()
    def see(pictures: Tensor) -> Seen:
        resized = F.interpolate(pictures.to(device).float(), (side, side), mode="bicubic", antialias=True, align_corners=False)
        output = network(pixel_values=(resized.clamp(0, 255) / 255 - mean) / deviation)
        return Seen(output.image_embeds if name == "clip" else output.last_hidden_state[:, 0])

    return FeatureNetwork(name, _digest_of(network), f"resized to {side} x {side}, bicubic with antialiasing", see)


def _load(name: str, folder: Path) -> tuple[Any, int]:
    from transformers import CLIPVisionModelWithProjection, Dinov2Model

    family: Any = CLIPVisionModelWithProjection if name == "clip" else Dinov2Model
    with loading(f"{folder} is not a {name}"):
        network = whole(family, folder)
        return network, network.config.image_size


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _digest_of(network: nn.Module) -> str:
    """A name for weights that are in memory."""
    total = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        total.update(name.encode() + value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]
