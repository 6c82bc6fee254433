"""Pictures for `ditkit eval`: runs, folders and files against real ones, in the features of one network.

Shapes: N pictures, D features, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.config.schema import EvalConfig
from ditkit.data import unreadable
from ditkit.data.captions import plural
from ditkit.data.picture_sets import PictureSet, arrays_in, digest, open_set
from ditkit.data.pictures import WHITE, Note, ignore
from ditkit.engine.distributed import World, gather, join_world
from ditkit.errors import DataError, OutputError, RequestError
from ditkit.metrics.bootstrap import Interval, mean_interval
from ditkit.metrics.frechet import Moments, few_samples, frechet_distance, frechet_interval
from ditkit.metrics.inception_score import SPLITS, inception_score
from ditkit.metrics.judged import nearest_distances
from ditkit.metrics.kernel import SUBSET_SIZE, SUBSETS, kernel_distance
from ditkit.metrics.precision_recall import NEIGHBOURS, precision_recall
from ditkit.metrics.vision import FeatureNetwork, Seen, find_network
from ditkit.models import registry
from ditkit.models.judge import JUDGED
from ditkit.results.folder import RunFolder, has_manifest, read_manifest
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.eval.report import PICTURED, Entry, Measured
from ditkit.tasks.shared import build

ROUNDING = "8 bits: clamp(127.5 x + 128, 0, 255), truncated"  # codecs.codec.to_uint8
RESAMPLED_DIMENSIONS = 512  # of more features the bootstrap would take hours
HELD = 2048  # pictures of the reference in memory at once
FRECHET_RESAMPLES = 200  # at most: each takes the eigenvalues of a covariance


@dataclass(frozen=True)
class Samples:
    """One line of the table: pictures, and of a run its request and labels."""

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
    samples: Samples
    values: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run(config: EvalConfig, progress: Progress) -> Measured:
    """Measure every target against the data; without data, what needs none."""
    notes: list[str] = []
    sets = [read_samples(target, config.data.background, notes.append) for target in config.targets]
    check_same_model([(each.pictures.name, each.request) for each in sets], across=config.across)
    device = build.device(config.runtime)
    network = find_network(config.features, config.feature_weights, device)
    world = join_world(device)
    real = None if config.data.path is None else _pictures_or_moments(Path(config.data.path), config.data.background, notes.append)
    counted = [*(each.pictures for each in sets), *([real] if isinstance(real, PictureSet) else [])]
    progress.start(sum(len(_my_batches(each.count, config.batch, world)) for each in counted), "batches of pictures")
    reference = None if real is None else _reference(real, network, config, world, progress)
    seen = [see(each.pictures, network, config.batch, world, progress) for each in sets]
    if world.rank:
        return Measured(Report(title=f"process {world.rank}"))
    results = [_measured(each, made, reference, config) for each, made in zip(sets, seen, strict=True)]
    return Measured(_report(config, network, reference, results, notes), [_entry(result) for result in results], "Frechet distance")


def _entry(result: Result) -> Entry:
    pictures = result.samples.pictures
    files = [] if pictures.files[0].suffix == ".npz" else pictures.files[:PICTURED]
    return Entry(pictures.name, result.samples.request, files, score=result.values.get("Frechet"))


def read_samples(target: str, background: str = WHITE, note: Note = ignore) -> Samples:
    """The pictures of a finished run, of a folder or of a file."""
    path = Path(target)
    if not has_manifest(path):
        return Samples(_at_least_two(open_set(path, None, background, note)))
    manifest = read_manifest(path / "manifest.json")
    if not manifest.get("complete"):
        raise OutputError(f"{path} is a run that is not finished; repeat its command, which goes on where it stopped")
    if "images" not in manifest:
        raise DataError(f"{path} is a run of ditkit {manifest.get('command')}, which makes no pictures; measure it on its own")
    files = [RunFolder(path).path / image["file"] for image in manifest["images"]]
    labels = manifest["request"].get("labels")
    pictures = _at_least_two(open_set(path, files, background, note))
    return Samples(pictures, manifest["request"], None if labels is None else torch.tensor(labels))


def check_same_model(runs: Sequence[tuple[str, Mapping[str, Any] | None]], *, across: bool) -> None:
    """Raise `RequestError` for runs of different models or weights, unless they are meant to be compared."""
    if across:
        return
    models = {request["model"]: name for name, request in runs if request}
    if len(models) > 1:
        (one, its), (other, theirs), *_ = models.items()
        raise RequestError(f"{its} is of {one}, {theirs} of {other}; add across=true to compare different models")
    weights = {known: name for name, request in runs if request and (known := _weights(request))}
    if len(weights) > 1:
        its, theirs, *_ = weights.values()
        raise RequestError(f"{its} and {theirs} are of {next(iter(models))} with different weights; add across=true to compare them")


def _weights(request: Mapping[str, Any]) -> str | None:
    """What tells the weights of a run from others; None for a run that did not write it down."""
    origin = request.get("weights") or {}
    return origin.get("fingerprint") or origin.get("sketch")  # random ones have no file, and so no fingerprint


def see(pictures: PictureSet, network: FeatureNetwork, batch: int, world: World, progress: Progress) -> Seen:
    """Features of all pictures, in order, a batch in memory at a time; every process sees whole batches, so that bits stay the same."""
    parts = []
    mine = _my_batches(pictures.count, batch, world)
    for part, read in zip(mine, pictures.read(mine), strict=True):
        seen = network.see(read)
        parts.append((part.start, replace(seen, **{name: None if value is None else value.cpu() for name, value in vars(seen).items()})))
        progress.advance()
    ordered = [seen for _, seen in sorted((part for share in gather(parts, world) for part in share), key=lambda part: part[0])]

    def together(name: str) -> Any:
        values = [getattr(part, name) for part in ordered]
        return None if values[0] is None else torch.cat(values)

    return Seen(together("pooled"), together("spatial"), together("probabilities"))


def moments_in(path: Path) -> tuple[Moments, Moments | None]:
    """Published reference moments: `mu` and `sigma`, and perhaps those of spatial features, `mu_s` and `sigma_s`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]).double() for name in ("mu", "sigma", "mu_s", "sigma_s") if name in file.files}
    except unreadable.ARRAYS as error:
        raise DataError(f"cannot read {path} as an .npz of moments: {error}") from error
    found = [
        _moments(arrays[mean], arrays[sigma], path) if {mean, sigma} <= arrays.keys() else None
        for mean, sigma in (("mu", "sigma"), ("mu_s", "sigma_s"))
    ]
    assert found[0] is not None  # `_pictures_or_moments` looked
    return found[0], found[1]


def _moments(mean_D: Tensor, covariance_DD: Tensor, path: Path) -> Moments:
    """As of two samples, whose scatter is the covariance: what is published does not say how many there were."""
    if mean_D.ndim != 1 or covariance_DD.shape != (len(mean_D), len(mean_D)):
        raise DataError(f"{path} has a mean {tuple(mean_D.shape)} and a covariance {tuple(covariance_DD.shape)}, which do not fit")
    if not (mean_D.isfinite().all() and covariance_DD.isfinite().all()):
        raise DataError(f"{path} has moments that are NaN or infinite")
    return Moments(2, mean_D, covariance_DD)


def _at_least_two(pictures: PictureSet) -> PictureSet:
    if pictures.count < 2:
        held = "one picture" if pictures.count else "no picture"
        raise DataError(f"{pictures.name} holds {held}; a set to measure has at least 2")
    return pictures


def batches_of(count: int, batch: int) -> list[range]:
    """The places of so many pictures, `batch` at a time."""
    return [range(start, min(start + batch, count)) for start in range(0, count, batch)]


def _my_batches(count: int, batch: int, world: World) -> list[range]:
    """Those that this process sees."""
    return batches_of(count, batch)[world.rank :: world.size]


def _pictures_or_moments(path: Path, background: str, note: Note) -> PictureSet | Path:
    if path.is_file() and path.suffix == ".npz" and {"mu", "sigma"} <= (names := set(arrays_in(path))) and "arr_0" not in names:
        return path
    return read_samples(str(path), background, note).pictures


def _reference(real: PictureSet | Path, network: FeatureNetwork, config: EvalConfig, world: World, progress: Progress) -> Reference:
    if isinstance(real, Path):
        return Reference(*moments_in(real), None, None, {"reference": f"moments in {real}", "reference hash": digest([real])})
    seen = see(real, network, config.batch, world, progress)
    facts: dict[str, Cell] = {
        "reference": f"{real.count} pictures of {real.name} ({real.described})",
        "reference hash": real.digest(),
    }
    spatial = None if seen.spatial is None else Moments.from_features(seen.spatial)
    return Reference(Moments.from_features(seen.pooled), spatial, seen, real, facts)


def _measured(samples: Samples, seen: Seen, reference: Reference | None, config: EvalConfig) -> Result:
    result = Result(samples)
    count = samples.pictures.count
    if samples.labels is not None and samples.request and config.features == "judge" and _judged(samples.request):
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
    if reference is not None and config.features == "judge" and samples.request and _judged(samples.request):
        real = reference.pictures
        if real is not None and real.size == samples.pictures.size:
            result.values |= _nearest(samples.pictures, real, config.batch)
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


def _nearest(pictures: PictureSet, real: PictureSet, batch: int) -> dict[str, float]:
    """How far the pictures are from the nearest of the reference's and their mirror images."""
    nearest = torch.full((pictures.count,), torch.inf)
    parts = batches_of(pictures.count, batch)
    for held in real.read(batches_of(real.count, HELD)):
        references = from_uint8(held)
        either = torch.cat([references, references.flip(-1)])
        for part, read in zip(parts, pictures.read(parts), strict=True):
            here = slice(part.start, part.stop)
            nearest[here] = nearest[here].minimum(nearest_distances(from_uint8(read), either))
    return {"median distance to the nearest reference picture": nearest.median().item(), "least distance": nearest.min().item()}


def _judged(request: Mapping[str, Any]) -> bool:
    return registry.find(request["model"]).classes == JUDGED


def _report(
    config: EvalConfig, network: FeatureNetwork, reference: Reference | None, results: Sequence[Result], notes: Sequence[str]
) -> Report:
    names = list(dict.fromkeys(name for result in results for name in result.values))
    facts: dict[str, Cell] = {
        "features": f"{network.name}, pictures {network.input}",
        "feature hash": network.digest,
        **_told([result.samples for result in results]),
        **(reference.facts if reference else {"reference": "none; give one with --data"}),
        "rounding of runs": ROUNDING,
        "intervals": f"95 %, bootstrap of {config.resamples} over the samples, of {min(config.resamples, FRECHET_RESAMPLES)} for Frechet",
        **_estimators(results, reference),
        "seed": config.seed,
    }
    rows = [[result.samples.pictures.name, result.samples.pictures.count, *(_cell(result, name) for name in names)] for result in results]
    return Report(
        title=f"eval {', '.join(config.targets)}",
        facts=facts,
        columns=["", "pictures", *names],
        rows=rows,
        notes=list(dict.fromkeys([*notes, *(note for result in results for note in result.notes)])),
        data={"protocol": facts, "rows": [_record(result) for result in results]},
    )


def _told(sets: Sequence[Samples]) -> dict[str, Cell]:
    """What the samples are and what was asked for: once if it is the same of all."""
    told = {each.pictures.name: _summary(each) for each in sets}
    if len(set(told.values())) == 1:
        return {"samples": next(iter(told.values()))}
    return {f"samples of {name}": summary for name, summary in told.items()}


def _summary(samples: Samples) -> str:
    request, said = samples.request or {}, [samples.pictures.described]
    if seeds := sorted(set(request.get("seeds") or ())):
        first, last = seeds[0], seeds[-1]
        together = f"seeds {first}-{last}" if first < last else f"seed {first}"
        said.append(together if len(seeds) == last - first + 1 else f"{len(seeds)} seeds from {first} to {last}")
    prompted = bool(request.get("prompts"))
    if (labels := set(request.get("labels") or ())) and (prompted or registry.find(request["model"]).label_count):
        noun = "prompt" if prompted else "class"
        said.append(f"1 {noun}" if len(labels) == 1 else f"{len(labels)} {plural(noun)}")
    return ", ".join(said)


def _estimators(results: Sequence[Result], reference: Reference | None) -> dict[str, Cell]:
    if reference is None or reference.seen is None:
        return {}
    size = min(SUBSET_SIZE, len(reference.seen.pooled), *(result.samples.pictures.count for result in results))
    return {"KID": f"mean over {SUBSETS} subsets of at most {size}, cubic kernel", "precision, recall": f"k = {NEIGHBOURS}"}


def _cell(result: Result, name: str) -> str | None:
    if name not in result.values:
        return None
    if name not in result.intervals:
        return f"{result.values[name]:.4g}"
    low, high = result.intervals[name]
    return f"{result.values[name]:.4g} [{low:.4g}, {high:.4g}]"


def _record(result: Result) -> dict[str, Any]:
    request = result.samples.request or {}
    return {
        "name": result.samples.pictures.name,
        "pictures": result.samples.pictures.count,
        "hash": result.samples.pictures.digest(),
        "model": request.get("model"),
        "labels": request.get("labels"),
        "seeds": request.get("seeds"),
        "values": result.values,
        "intervals": {name: list(interval) for name, interval in result.intervals.items()},
    }
