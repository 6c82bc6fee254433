"""`ditkit eval`: how good samples are, of pictures, of things in boxes, and of clouds; and how good the shipped helpers are."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.codecs.registry import CODECS, load_codec
from ditkit.config.schema import EvalConfig
from ditkit.data.images import Pictures, load_pictures
from ditkit.data.picture_sets import arrays_in
from ditkit.errors import DataError, RequestError
from ditkit.metrics.judged import judged_accuracy
from ditkit.metrics.reconstruction import psnr
from ditkit.models.judge import load_judge
from ditkit.outputs import read_manifest
from ditkit.progress import Progress
from ditkit.report import Report
from ditkit.shapes.clouds import SUFFIXES as OF_CLOUDS
from ditkit.tasks import eval_boxes, eval_clouds, eval_images
from ditkit.tasks.eval_boxes import has_boxes
from ditkit.tasks.eval_report import written

SIDE = 64


def run(config: EvalConfig, progress: Progress) -> Report:
    """Measure runs, folders or files of samples; or on `data` (pictures not trained on) a codec by name or the "judge"."""
    if config.runtime.threads:
        torch.set_num_threads(config.runtime.threads)
    if not config.targets and not config.real:
        raise RequestError("nothing to measure: name a run folder, a folder or a file of samples; or add --real")
    if helper := next((target for target in config.targets if target == "judge" or target in CODECS), None):
        return _helper(helper, config)
    measured = _kind(config).run(config, progress)
    return written(measured, config) if measured.report.rows else measured.report  # other processes than the first have none


def _kind(config: EvalConfig) -> Any:
    """What measures samples like the first ones."""
    if not config.targets or are_clouds(first := Path(config.targets[0])):
        return eval_clouds
    return eval_boxes if config.prompts is not None or has_boxes(first) else eval_images


def are_clouds(target: Path) -> bool:
    """Whether a run, a folder or a file holds clouds, and not pictures; raises `DataError` if there is nothing."""
    if (target / "manifest.json").exists():
        return "clouds" in read_manifest(target / "manifest.json")
    if target.is_file() and target.suffix == ".npz":
        return bool({"points", "train_points"} & set(arrays_in(target)))
    if not target.is_dir():
        raise DataError(f"nothing to measure at {target}: give a run folder, a folder of samples, or an .npz of samples")
    return any(file.suffix.lower() in (*OF_CLOUDS, ".npz") for file in target.rglob("*"))


def _helper(target: str, config: EvalConfig) -> Report:
    if len(config.targets) > 1:
        raise RequestError(f"{target} is measured on its own; leave out the other targets")
    if config.data.path is None:
        raise DataError(f"to measure {target}, give pictures it was not trained on: --data FOLDER or --data SPRITES.npz")
    pictures = load_pictures(config.data.path, SIDE)
    return _judge(pictures) if target == "judge" else _codec(target, pictures)


def _judge(pictures: Pictures) -> Report:
    accuracy = judged_accuracy(load_judge(), _all(pictures), torch.from_numpy(pictures.labels))
    return Report(title="eval judge", facts={"pictures": len(pictures), "accuracy": f"{accuracy:.4f}"}, data={"accuracy": accuracy})


@torch.inference_mode()
def _codec(name: str, pictures: Pictures) -> Report:
    codec = load_codec(name)
    images = _all(pictures)
    quality = psnr(codec.decode(codec.encode(images)), images).mean().item()
    return Report(title=f"eval {name}", facts={"pictures": len(pictures), "PSNR": f"{quality:.2f} dB"}, data={"psnr": quality})


def _all(pictures: Pictures) -> Tensor:
    return from_uint8(torch.from_numpy(np.stack([pictures.picture(index, 0) for index in range(len(pictures))])).movedim(-1, 1))
