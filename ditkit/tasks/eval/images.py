"""Pictures for `ditkit eval`: runs, folders and files against real ones, in the features of one network.

Shapes: N pictures, D features, C classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ditkit.config.schema import EvalConfig
from ditkit.data.captions import plural
from ditkit.data.picture_sets import PictureSet
from ditkit.engine.distributed import join_world
from ditkit.metrics.features import my_batches, see
from ditkit.metrics.kernel import SUBSET_SIZE, SUBSETS
from ditkit.metrics.precision_recall import NEIGHBOURS
from ditkit.metrics.vision import FeatureNetwork, find_network
from ditkit.models import registry
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.results.requests import check_same_model
from ditkit.tasks.eval.image_scores import (
    FRECHET_RESAMPLES,
    Reference,
    Result,
    Samples,
    measured,
    pictures_or_moments,
    read_samples,
    reference_of,
)
from ditkit.tasks.eval.report import PICTURED, Entry, Measured
from ditkit.tasks.shared import build

ROUNDING = "8 bits: clamp(127.5 x + 128, 0, 255), truncated"  # codecs.codec.to_uint8


def run(config: EvalConfig, progress: Progress) -> Measured:
    """Measure every target against the data; without data, what needs none."""
    notes: list[str] = []
    sets = [read_samples(target, config.data.background, notes.append) for target in config.targets]
    check_same_model([(each.pictures.name, each.request) for each in sets], across=config.across)
    device = build.device(config.runtime)
    network = find_network(config.features, config.feature_weights, device)
    world = join_world(device)
    real = None if config.data.path is None else pictures_or_moments(Path(config.data.path), config.data.background, notes.append)
    counted = [*(each.pictures for each in sets), *([real] if isinstance(real, PictureSet) else [])]
    progress.start(sum(len(my_batches(each.count, config.batch, world)) for each in counted), "batches of pictures")
    reference = None if real is None else reference_of(real, network, config, world, progress.advance)
    seen = [see(each.pictures, network, config.batch, world, progress.advance) for each in sets]
    if world.rank:
        return Measured(Report(title=f"process {world.rank}"))
    results = [measured(each, made, reference, config) for each, made in zip(sets, seen, strict=True)]
    return Measured(_report(config, network, reference, results, notes), [_entry(result) for result in results], "Frechet distance")


def _entry(result: Result) -> Entry:
    pictures = result.samples.pictures
    files = [] if pictures.files[0].suffix == ".npz" else pictures.files[:PICTURED]
    return Entry(pictures.name, result.samples.request, files, score=result.values.get("Frechet"), interval=result.intervals.get("Frechet"))


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
