"""The scores of pictures for `ditkit eval`: what is measured of one set of them, alone and against real ones.

Shapes: N pictures, D features, C classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ditkit.config.schema import EvalConfig
from ditkit.data.picture_sets import PictureSet, arrays_in, digest, open_set
from ditkit.data.pictures import WHITE, Note, ignore
from ditkit.engine.distributed import World
from ditkit.errors import DataError
from ditkit.metrics.bootstrap import Interval, mean_interval
from ditkit.metrics.features import see
from ditkit.metrics.frechet import Moments, few_samples, frechet_distance, frechet_interval
from ditkit.metrics.inception_score import SPLITS, inception_score
from ditkit.metrics.judged import distances_to_nearest
from ditkit.metrics.kernel import SUBSET_SIZE, SUBSETS, kernel_distance
from ditkit.metrics.moments_file import moments_in
from ditkit.metrics.precision_recall import NEIGHBOURS, precision_recall
from ditkit.metrics.vision import FeatureNetwork, Seen
from ditkit.models import registry
from ditkit.models.judge import JUDGED
from ditkit.results.folder import RunFolder, finished_run, has_manifest
from ditkit.results.report import Cell
from ditkit.tasks.shared import classes

RESAMPLED_DIMENSIONS = 512  # of more features the bootstrap would take hours
FRECHET_RESAMPLES = 200  # at most: each takes the eigenvalues of a covariance


@dataclass(frozen=True)
class Samples:
    """One line of the table: pictures, and of a run its request and, if they are of classes that the judge knows, its labels of them."""

    pictures: PictureSet
    request: Mapping[str, Any] | None = None
    labels: Tensor | None = None


@dataclass(frozen=True)
class Reference:
    """What samples are compared with: features of real pictures, or only their moments."""

    moments: Moments
    spatial: Moments | None
    seen: Seen | None
    pictures: PictureSet | None
    facts: dict[str, Cell]


@dataclass
class Result:
    """The scores of one line, with what a reader should know before they are believed."""

    samples: Samples
    values: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def reference_of(
    real: PictureSet | Path, network: FeatureNetwork, config: EvalConfig, world: World, advance: Callable[[], None]
) -> Reference:
    """What the samples are compared with, its features made; `advance` is told of every batch."""
    if isinstance(real, Path):
        return Reference(*moments_in(real), None, None, {"reference": f"moments in {real}", "reference hash": digest([real])})
    seen = see(real, network, config.batch, world, advance)
    facts: dict[str, Cell] = {
        "reference": f"{real.count} pictures of {real.name} ({real.described})",
        "reference hash": real.digest(),
    }
    spatial = None if seen.spatial is None else Moments.from_features(seen.spatial)
    return Reference(Moments.from_features(seen.pooled), spatial, seen, real, facts)


def measured(samples: Samples, seen: Seen, reference: Reference | None, config: EvalConfig) -> Result:
    """Every score that can be had of these samples."""
    result = Result(samples)
    count = samples.pictures.count
    if samples.labels is not None and config.features == "judge":
        assert seen.probabilities is not None
        right = (seen.probabilities.argmax(1) == samples.labels).float()
        result.values["judged accuracy"], result.intervals["judged accuracy"] = float(right.mean()), mean_interval(right, config.resamples)
    if reference is not None:
        _against(result, seen, reference, config)
    if seen.probabilities is not None:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed))
        splits = SPLITS if count >= 10 * SPLITS else 1
        score = inception_score(seen.probabilities[order], splits)
        result.values["IS"] = score.score
        if splits == 1:
            result.notes.append(f"{samples.pictures.name}: IS in one split, {count} pictures are too few for {SPLITS}")
    if reference is not None and config.features == "judge" and samples.labels is not None:
        real = reference.pictures
        if real is not None and real.size == samples.pictures.size:
            result.values |= distances_to_nearest(samples.pictures, real, config.batch)
    return result


def _against(result: Result, seen: Seen, reference: Reference, config: EvalConfig) -> None:
    own = Moments.from_features(seen.pooled)
    result.values["Frechet"] = frechet_distance(own, reference.moments)
    if own.dimensions <= RESAMPLED_DIMENSIONS:
        result.intervals["Frechet"] = frechet_interval(
            seen.pooled, reference.moments, min(config.resamples, FRECHET_RESAMPLES), config.seed
        )
    name = result.samples.pictures.name
    result.notes += [f"{name}: {said}" for said in (few_samples(own),) if said]
    if reference.seen and (said := few_samples(reference.moments)):
        result.notes.append(f"the reference: {said}")
    if seen.spatial is not None and reference.spatial is not None:
        spatial = Moments.from_features(seen.spatial)
        result.values["sFID"] = frechet_distance(spatial, reference.spatial)
        result.notes += [f"{name}: of spatial features, {said}" for said in (few_samples(spatial),) if said]
        if reference.seen and (said := few_samples(reference.spatial)):
            result.notes.append(f"the reference: of spatial features, {said}")
    if reference.seen is None:
        return
    size = min(SUBSET_SIZE, len(seen.pooled), len(reference.seen.pooled))
    result.values["KID x 1000"] = 1000 * kernel_distance(seen.pooled, reference.seen.pooled, SUBSETS, size, config.seed).distance
    if min(len(seen.pooled), len(reference.seen.pooled)) > NEIGHBOURS:
        shares = precision_recall(seen.pooled, reference.seen.pooled)
        for share, inside in (("precision", shares.generated_inside), ("recall", shares.reference_inside)):
            result.values[share] = float(inside.double().mean())
            result.intervals[share] = mean_interval(inside, config.resamples, config.seed)
    else:
        result.notes.append(f"{name}: precision and recall need at least {NEIGHBOURS + 1} pictures on either side")


def _judged_labels(manifest: Mapping[str, Any]) -> Tensor | None:
    """The judge's label of every sample of a run, told by its class's name: weights may have been trained on others, or on fewer."""
    request, known = manifest["request"], classes.known_classes(JUDGED)
    if request.get("labels") is None or registry.find(request["model"]).classes != JUDGED:
        return None
    labelled = zip(manifest["images"], request["labels"], strict=True)
    names = [image["class"] if "class" in image else known[label] for image, label in labelled]
    return torch.tensor([known.index(name) for name in names]) if set(names) <= set(known) else None


def read_samples(target: str, background: str = WHITE, note: Note = ignore) -> Samples:
    """The pictures of a finished run, of a folder or of a file."""
    path = Path(target)
    if not has_manifest(path):
        return Samples(_at_least_two(open_set(path, None, background, note)))
    manifest = finished_run(path)
    if "images" not in manifest:
        raise DataError(f"{path} is a run of ditkit {manifest.get('command')}, which makes no pictures; measure it on its own")
    files = [RunFolder(path).path / image["file"] for image in manifest["images"]]
    return Samples(_at_least_two(open_set(path, files, background, note)), manifest["request"], _judged_labels(manifest))


def _at_least_two(pictures: PictureSet) -> PictureSet:
    if pictures.count < 2:
        held = "one picture" if pictures.count else "no picture"
        raise DataError(f"{pictures.name} holds {held}; a set to measure has at least 2")
    return pictures


def pictures_or_moments(path: Path, background: str = WHITE, note: Note = ignore) -> PictureSet | Path:
    """Real pictures, or the path of an .npz that holds moments of some."""
    if path.is_file() and path.suffix == ".npz" and {"mu", "sigma"} <= (names := set(arrays_in(path))) and "arr_0" not in names:
        return path
    return read_samples(str(path), background, note).pictures
