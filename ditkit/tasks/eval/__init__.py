"""`ditkit eval`: how good samples are, of pictures, of things in boxes, and of clouds; and how good the shipped helpers are."""

from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.codecs.registry import CODECS, load_codec
from ditkit.config.schema import EvalConfig, Gen3DConfig, SampleConfig
from ditkit.data.images import Pictures, load_pictures
from ditkit.data.picture_sets import shapes_in
from ditkit.data.pictures import is_picture
from ditkit.errors import DataError, RequestError
from ditkit.files.atomic import check_folder_free
from ditkit.files.listing import files_below
from ditkit.metrics.judged import judged_accuracy
from ditkit.metrics.reconstruction import psnr
from ditkit.metrics.vision import JUDGE_SIDE, check_square, find_network
from ditkit.models import registry
from ditkit.models.judge import JUDGED, load_judge
from ditkit.results.folder import has_manifest, read_manifest
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.shapes.clouds import ALWAYS, ENDINGS, MOST_COLUMNS, PERHAPS
from ditkit.tasks.eval import adm, boxes, clouds, images
from ditkit.tasks.eval.boxes import has_boxes
from ditkit.tasks.eval.report import folder_of, written
from ditkit.tasks.shared import build, classes
from ditkit.tasks.shared.report_folder import reporting_into

SAVED = "save_npz"
FEATURES = ("features", "feature_weights")
IGNORED = {  # options of other kinds of samples, and what these are
    images: ("pictures", ("real", "data.categories", "distances", "points", "frame", "protocol", "detector")),
    boxes: ("things in boxes", ("data.categories", "data.background", "distances", "points", "frame", "protocol", *FEATURES, SAVED)),
    clouds: ("clouds", ("data.background", "detector", "prompts", *FEATURES, SAVED)),
}


def check(config: EvalConfig) -> None:
    """Raise for what is wrong whatever the samples are: no data where some is said to be, a file in the place of the folder `out`."""
    if config.data.path is not None and not Path(config.data.path).exists():
        raise DataError(f"no data at {config.data.path}")
    if config.out is not None:
        check_folder_free(Path(config.out))
    adm.check(config)


def check_before_sampling(config: EvalConfig, sampling: SampleConfig | Gen3DConfig) -> None:
    """Raise for what would be wrong once there are these samples, so that none is made in vain."""
    check(config)
    spec = registry.find(sampling.model)
    _check_heard(clouds if spec.points else images, config)
    if isinstance(sampling, Gen3DConfig):
        return clouds.check(config)
    if config.features == "judge":
        check_square(sampling.height or spec.image_size, sampling.width or spec.image_size)
    find_network(config.features, config.feature_weights, build.device(config.runtime))


def run(config: EvalConfig, progress: Progress) -> Report:
    """Measure runs, folders or files of samples; or on `data` (pictures not trained on) a codec by name or the "judge"."""
    if config.runtime.threads:
        torch.set_num_threads(config.runtime.threads)
    if not config.targets and config.save_npz and config.data.path is not None:
        check(config)
        return adm.save_reference(config, progress)
    if not config.targets and not config.real:
        raise RequestError("nothing to measure: name a run folder, a folder or a file of samples; or add --real")
    if helper := next((target for target in config.targets if target == "judge" or target in CODECS), None):
        return _helper(helper, config, progress)
    check(config)
    config = replace(config, targets=list(dict.fromkeys(config.targets)))  # each in one row
    kind = _kind(config)
    _check_heard(kind, config)
    with reporting_into(folder_of(config)):
        measured = kind.run(config, progress)
        if not measured.report.rows:  # of other processes than the first
            return measured.report
        report = written(measured, config)
        return replace(report, files=[*report.files, adm.save_samples(config)]) if config.save_npz else report


def _kind(config: EvalConfig) -> Any:
    """What measures samples like the first ones."""
    if not config.targets or are_clouds(first := Path(config.targets[0])):
        return clouds
    return boxes if config.prompts is not None or has_boxes(first) else images


def _check_heard(kind: Any, config: EvalConfig) -> None:
    """Raise `RequestError` for an option that would be ignored."""
    samples, ignored = IGNORED[kind]
    unset = EvalConfig()
    for name in ignored:
        value, default = (reduce(getattr, name.split("."), of) for of in (config, unset))
        if value != default:
            raise RequestError(f"{name} means nothing for {samples}; leave it out")


def are_clouds(target: Path) -> bool:
    """Whether a run, a folder or a file holds clouds, and not pictures; raises `DataError` if there is nothing."""
    if has_manifest(target):
        return "clouds" in read_manifest(target / "manifest.json")
    if target.is_file() and target.suffix.lower() in ENDINGS:
        return target.suffix.lower() != ".npz" or _holds_points(target)
    if not target.is_dir():
        raise DataError(f"nothing to measure at {target}: give a run folder, a folder of samples, or an .npz of samples")
    files = files_below(target)
    if any(file.suffix.lower() in ALWAYS for file in files):
        return True
    return not any(is_picture(file) for file in files) and any(
        file.suffix.lower() in PERHAPS and (file.suffix.lower() != ".npz" or _holds_points(file)) for file in files
    )


def _holds_points(file: Path) -> bool:
    shapes = shapes_in(file)
    named = {"points", "train_points"} & set(shapes) or any(len(shape) == 3 and 3 <= shape[2] <= MOST_COLUMNS for shape in shapes.values())
    return bool(named) and "images" not in shapes


def _helper(target: str, config: EvalConfig, progress: Progress) -> Report:
    if len(config.targets) > 1:
        raise RequestError(f"{target} is measured on its own; leave out the other targets")
    if config.data.path is None:
        raise DataError(f"to measure {target}, give pictures it was not trained on: --data FOLDER or --data SPRITES.npz")
    pictures = load_pictures(config.data.path, JUDGE_SIDE, config.data.background, progress.note)
    return _judge(pictures) if target == "judge" else _codec(target, pictures)


def _judge(pictures: Pictures) -> Report:
    accuracy = judged_accuracy(load_judge(), _all(pictures), _judged_labels(pictures))
    return Report(title="eval judge", facts={"pictures": len(pictures), "accuracy": f"{accuracy:.4f}"}, data={"accuracy": accuracy})


def _judged_labels(pictures: Pictures) -> Tensor:
    """Of each picture the class as the judge numbers them, found by its name."""
    known = classes.known_classes(JUDGED)
    labels = [classes.label_of(name, known) for name in pictures.class_names]
    if strange := [pictures.class_names[label] for label in np.unique(pictures.labels) if labels[label] is None]:
        raise DataError(f"the judge knows no class '{strange[0]}'; name classes as it does: {', '.join(known[:6])}, ...")
    return torch.tensor([labels[label] for label in pictures.labels])


@torch.inference_mode()
def _codec(name: str, pictures: Pictures) -> Report:
    codec = load_codec(name)
    images = _all(pictures)
    quality = psnr(codec.decode(codec.encode(images)), images).mean().item()
    return Report(title=f"eval {name}", facts={"pictures": len(pictures), "PSNR": f"{quality:.2f} dB"}, data={"psnr": quality})


def _all(pictures: Pictures) -> Tensor:
    return from_uint8(torch.from_numpy(np.stack([pictures.picture(index, 0) for index in range(len(pictures))])).movedim(-1, 1))
