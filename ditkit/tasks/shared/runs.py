"""Sampling into a run folder that can be continued and repeated, whatever it is that a command makes."""

import hashlib
import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ditkit.cache.cost import trajectory_cost
from ditkit.cache.plan import to_data
from ditkit.config.record import complete, config_to_data
from ditkit.config.schema import GroundConfig, RunConfig, SampleConfig
from ditkit.engine import finite
from ditkit.engine.distributed import World, barrier, gather, join_world
from ditkit.engine.finite import Fault, first_fault
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.errors import RequestError
from ditkit.files.writer import Writer
from ditkit.models import registry
from ditkit.results.folder import RunFolder, changed_keys, read_manifest
from ditkit.results.progress import NoProgress, Progress
from ditkit.results.report import Report
from ditkit.tasks.shared import build, classes, costs
from ditkit.tasks.shared.kind import Costs, Kind, Record
from ditkit.tasks.shared.memory import check_room
from ditkit.tasks.shared.plans import check_file, with_estimated_plan, with_plan
from ditkit.tasks.shared.prompts import prompt_bytes, reader_bytes
from ditkit.tasks.shared.repeat import manifest_of, resolved


@dataclass(frozen=True)
class Share:
    """What one process did: how many samples it made, by how many evaluations, in how many seconds, how often it halved a batch at most.

    The numbers of `spoiled` ones are not finite, of which `fault` says where that began; they have no files yet.
    """

    samples: int
    evaluations: int
    seconds: float
    halved: int
    spoiled: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    fault: Fault | None = None


def run(kind: Kind, config: RunConfig, progress: Progress) -> Report:
    """Sample what the configuration asks for; samples that are there already are not made again."""
    source = manifest_of(config)
    config, plan = resolved(kind, config)
    kind.check(config, registry.find(config.model))
    check_file(config.cache)
    world = join_world(build.device(config.runtime))
    model, asked = kind.request(config, build.model(config, progress), plan, progress, world)
    request = with_plan(asked, config.cache, model, progress, world)
    check_room(model, request)
    record = _record(config, model, request) | kind.record(config, request)
    if source and (changed := changed_keys(complete(read_manifest(source)["request"]), record)):
        raise RequestError(f"{source} cannot be repeated here: what decides its bits differs in {', '.join(changed)}")
    folder = RunFolder(Path(config.out) if config.out else Path("runs") / f"{config.model}-{_digest(record)}")
    with nullcontext() if world.rank else folder.claimed(record):
        barrier(world)
        mine = _make(kind, config, model, request, folder, world, progress)
        shares = gather(mine, world)
        spoiled = _spoiled(kind, model, request, shares)
        for index in mine.spoiled:  # now that not all are
            kind.save(config, folder, index, torch.zeros(mine.shape))
        barrier(world)
        report = Report(title=f"process {world.rank}", data={"out": str(folder.path)})
        if world.rank == 0:
            report = _finish(kind, config, model, request, folder, record, shares, spoiled)
    barrier(world)  # whoever goes on with the run finds it whole
    return report


def estimate(kind: Kind, config: RunConfig, more: Costs | None = None) -> Report:
    """What the run would cost: multiply-adds with and without the plan, memory, and `more`. Nothing is loaded, sampled or written."""
    config, plan = resolved(kind, config)
    kind.check(config, registry.find(config.model))
    model, asked = kind.request(config, build.blank_model(config), plan, NoProgress(), World())
    request = with_estimated_plan(asked, config.cache, model)
    rows = 2 if request.guidance != 1 else 1
    cost = trajectory_cost(costs.multiply_adds(model), request.evaluations, rows, request.plan)
    parameters = sum(parameter.numel() for parameter in model.backbone.parameters())
    size = model.dtype.itemsize
    cached = costs.cache_bytes(model, request)
    prompted = prompt_bytes(model, request.prompts, costs.most_rows(request)) if request.prompts else 0
    reading = reader_bytes(config.text, model.spec) if isinstance(config, SampleConfig | GroundConfig) else 0
    facts = {
        "model": config.model,
        kind.samples: len(request.seeds),
        "evaluations": _evaluations(request, 0, 0)[1],
        f"multiply-adds per {_one(kind)}": f"{cost.planned / 1e9:.2f} G"
        + (f" ({cost.saved:.0%} less than {cost.full / 1e9:.2f} G)" if cost.saved else ""),
        "parameters": f"{parameters / 1e6:.1f} M",
        "memory for weights": f"{parameters * size / 2**20:.0f} MiB",
        "memory for cached outputs": costs.in_words(cached),
        **({"memory for prompts": f"{prompted / 2**20:.0f} MiB"} if request.prompts else {}),
        **({"memory for the text encoder": f"{reading / 2**20:.0f} MiB, before anything is sampled"} if reading else {}),
    }
    data = {
        "multiply_adds": cost.planned,
        "multiply_adds_without_plan": cost.full,
        "parameters": parameters,
        "weight_bytes": parameters * size,
        "cache_bytes": cached,
        "prompt_bytes": prompted,
        "text_encoder_bytes": reading,
    }
    more_facts, more_data = more(model, request, cost.full) if more else ({}, {})
    named = {"model": config.model, kind.samples: len(request.seeds)}
    return Report(title="dry run", facts={**facts, **more_facts}, data={**data, **more_data, **named})


def _one(kind: Kind) -> str:
    return kind.samples.removesuffix("s")


def _record(config: RunConfig, model: Model, request: SamplingRequest) -> Record:
    """What decides every bit of the samples."""
    return {
        "model": config.model,
        "compat": config.compat,
        "weights": dict(model.origin),
        "codec": dict(model.codec.origin),
        "labels": list(request.labels),
        "seeds": list(request.seeds),
        "solver": request.solver.name,
        "times": list(request.solver.times),
        "sampler": config_to_data(config)["sampler"],
        "guidance": request.guidance,
        "guidance_interval": config.guidance_interval,
        **({} if config.guidance_channels is None else {"guidance_channels": config.guidance_channels}),
        "plan": to_data(request.plan) if request.plan else None,
        "batch": request.batch,
        "precision": config.runtime.precision,
        "compiled": config.runtime.compile,
    }


def _digest(record: Record) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]


def _make(
    kind: Kind, config: RunConfig, model: Model, request: SamplingRequest, folder: RunFolder, world: World, progress: Progress
) -> Share:
    """Sample those of this process's batches that still lack a sample.

    Whole batches, so that bits never depend on the share; and shares that do not depend on what is missing, so that no process
    is misled by what another has just written. Samples that are not finite are left out: nothing may be there if all are so.
    """
    share = request.batches()[world.rank :: world.size]
    mine = [batch for batch in share if any(not kind.file(folder, index).exists() for index in batch)]
    seconds, halved, fault, shape = 0.0, 0, None, ()
    spoiled: list[int] = []
    made = 0

    def on_step(samples: int) -> None:
        nonlocal made
        made += samples
        progress.advance(samples)

    progress.start(sum(map(len, mine)) * request.evaluations, "sampling")
    with Writer() as writer:
        for batch in kind.sample(config, model, request, folder, mine, on_step):
            if here := batch.spoiled:
                fault, shape = fault or first_fault(model, request, batch), tuple(batch.pictures.shape[1:])
                spoiled += here
            for index, picture in zip(batch.indices, batch.pictures, strict=True):
                if index not in here:
                    writer.put(partial(kind.save, config, folder, index, picture))
            seconds, halved = seconds + batch.seconds, max(halved, batch.halved)
    return Share(sum(map(len, mine)), made, seconds, halved, tuple(spoiled), shape, fault)


def _evaluations(request: SamplingRequest, samples: int, made: int) -> tuple[float, str | int]:
    """Of a sample, as data and in words: of a solver that chooses its times those that it made on average."""
    if request.solver.times:
        return request.evaluations, request.evaluations
    if not samples:
        return request.evaluations, f"at most {request.evaluations}"
    mean = made / samples
    return mean, f"{mean:.0f} of at most {request.evaluations}, on average"


def _spoiled(kind: Kind, model: Model, request: SamplingRequest, shares: list[Share]) -> str | None:
    """A line about samples that are not finite, if there are any; raises `RequestError` with it if all of the run are so."""
    fault = next((share.fault for share in shares if share.fault), None)
    if fault is None:
        return None
    count, total = sum(len(share.spoiled) for share in shares), len(request.seeds)
    where = finite.said(fault, model.dtype, request.guidance)
    if count == total:
        raise RequestError(f"the numbers of all {total} {kind.samples} {where}" if total > 1 else f"the numbers {where}")
    return f"the numbers of {count} of {total} {kind.samples} {where}; these are left blank"


def _finish(
    kind: Kind,
    config: RunConfig,
    model: Model,
    request: SamplingRequest,
    folder: RunFolder,
    record: Record,
    shares: list[Share],
    spoiled: str | None,
) -> Report:
    count = len(request.seeds)
    names, asked = classes.names(model, request), "prompt" if request.prompts else "class"
    files, notes = kind.finish(config, folder, request, names)
    sampled = sum(share.samples for share in shares)
    seconds = max(share.seconds for share in shares)
    halved = max(share.halved for share in shares)
    samples = [
        {"file": str(kind.file(folder, index).relative_to(folder.path)), "seed": seed, "label": label, asked: name}
        for index, (seed, label, name) in enumerate(zip(request.seeds, request.labels, names, strict=True))
    ]
    timing = {kind.samples: sampled, "seconds": seconds, "device": str(model.device), "batch_halved": halved}
    if sampled or not read_manifest(folder.manifest_file).get("complete"):  # a rerun that made nothing leaves the record of the run
        made = {"command": kind.command, "config": config_to_data(config), "timing": timing, kind.samples: samples}
        folder.write_manifest({"request": record, "complete": True, **made})
    notes += [f"{count - sampled} of {count} {kind.samples} were there already"] if sampled < count else []
    notes += [spoiled] if spoiled else []
    notes += [f"out of memory: the batch of {request.batch} was halved {halved} time(s)"] if halved else []
    reused = request.plan.reused if request.plan else 0.0
    evaluations, shown = _evaluations(request, sampled, sum(share.evaluations for share in shares))
    facts = {
        kind.samples: count,
        "evaluations": shown,
        f"seconds per {_one(kind)}": f"{seconds / sampled:.3f}" if sampled else "-",
        "reused": f"{reused:.1%}",
    }
    data = {
        kind.samples: count,
        "sampled": sampled,
        "evaluations": evaluations,
        "seconds": seconds,
        "reused": reused,
        "batch_halved": halved,
        "not_finite": sorted(index for share in shares for index in share.spoiled),
    }
    return Report(
        title=config.model, facts=facts, files=[*files, folder.manifest_file], notes=notes, data={**data, "out": str(folder.path)}
    )
