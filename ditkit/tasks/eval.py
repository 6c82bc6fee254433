"""`ditkit eval`: what the judge says of a run, how near its pictures are to the training data, and how good the shipped helpers are."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.codecs.registry import CODECS, load_codec
from ditkit.config.schema import EvalConfig
from ditkit.data.images import Pictures, load_pictures
from ditkit.errors import DataError, RequestError
from ditkit.metrics.judged import judged_accuracy, nearest_distances
from ditkit.metrics.reconstruction import psnr
from ditkit.models import registry
from ditkit.models.judge import JUDGED, load_judge
from ditkit.outputs import RunFolder, read_manifest
from ditkit.progress import Progress
from ditkit.report import Report
from ditkit.tasks import eval_clouds

SIDE = 64
VARIANTS = 2  # a training picture and its mirror image


def run(config: EvalConfig, progress: Progress) -> Report:
    """Measure runs, folders or files of samples; or on `data` (pictures not trained on) a codec by name or the "judge"."""
    if not config.targets and not config.floor:
        raise RequestError("nothing to measure: name a run folder, a folder or a file of samples; or add --floor")
    if _are_clouds(config):
        return eval_clouds.run(config, progress)
    (target, *more), data = config.targets, config.data.path
    if more:
        raise RequestError(f"pictures are measured one run at a time; leave out {', '.join(more)}")
    if target == "judge" or target in CODECS:
        if data is None:
            raise DataError(f"to measure {target}, give pictures it was not trained on: --data FOLDER or --data SPRITES.npz")
        pictures = load_pictures(data, SIDE)
        return _judge(pictures) if target == "judge" else _codec(target, pictures)
    return _run_folder(RunFolder(Path(target)), data)


def _are_clouds(config: EvalConfig) -> bool:
    """Whether the first target is of clouds, or in place of targets there are training shapes."""
    if not config.targets:
        return True
    first = Path(config.targets[0])
    manifest = first / "manifest.json"
    if manifest.exists():
        return "clouds" in read_manifest(manifest)
    return first.exists() and config.data.path is not None


def _run_folder(folder: RunFolder, data: str | None) -> Report:
    request = read_manifest(folder.manifest_file)["request"]
    if registry.find(request["model"]).classes != JUDGED:
        raise DataError(f"{folder.path} is a run of {request['model']}; the judge knows only models of the {JUDGED} classes")
    labels = torch.tensor(request["labels"])
    images = torch.cat([_tensor(_read(folder.image_file(index))) for index in range(len(labels))])
    accuracy = judged_accuracy(load_judge(), images, labels)
    values: dict[str, float] = {"judged accuracy": accuracy}
    if data:
        nearest = nearest_distances(images, _all(load_pictures(data, SIDE), VARIANTS))
        values |= {"median distance to the nearest training picture": nearest.median().item(), "least distance": nearest.min().item()}
    facts = {"images": len(labels), **{name: f"{value:.4f}" for name, value in values.items()}}
    return Report(
        title=f"eval {folder.path}", facts=facts, data={"images": len(labels), **{k.replace(" ", "_"): v for k, v in values.items()}}
    )


def _judge(pictures: Pictures) -> Report:
    accuracy = judged_accuracy(load_judge(), _all(pictures, 1), torch.from_numpy(pictures.labels))
    return Report(title="eval judge", facts={"pictures": len(pictures), "accuracy": f"{accuracy:.4f}"}, data={"accuracy": accuracy})


@torch.inference_mode()
def _codec(name: str, pictures: Pictures) -> Report:
    codec = load_codec(name)
    images = _all(pictures, 1)
    quality = psnr(codec.decode(codec.encode(images)), images).mean().item()
    return Report(title=f"eval {name}", facts={"pictures": len(pictures), "PSNR": f"{quality:.2f} dB"}, data={"psnr": quality})


def _all(pictures: Pictures, variants: int) -> Tensor:
    return torch.cat([_tensor(pictures.picture(index, variant)) for index in range(len(pictures)) for variant in range(variants)])


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as file:
            return np.asarray(file.convert("RGB"))
    except OSError as error:
        raise DataError(f"cannot read the picture {path}: {error}") from error


def _tensor(pixels: np.ndarray) -> Tensor:
    return from_uint8(torch.from_numpy(pixels.copy()).movedim(-1, 0)[None])
