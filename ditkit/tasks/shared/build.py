"""From configuration to the objects of a run."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from ditkit.cache.plan import CachePlan
from ditkit.codecs.codec import Codec
from ditkit.codecs.registry import load_codec
from ditkit.config.schema import (
    AutoSampler,
    DDPMConfig,
    ModelConfig,
    NoCache,
    RunConfig,
    RuntimeConfig,
    SamplerConfig,
    option,
)
from ditkit.diffusion.guidance import GuidanceInterval
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule, named
from ditkit.diffusion.solvers import ADAPTIVE, BY_CLEAN_SAMPLES, SOLVERS, Solver
from ditkit.engine.conditions import PromptTable
from ditkit.engine.model import Model
from ditkit.engine.request import EVERYWHERE, SamplingRequest
from ditkit.errors import CheckpointError, MissingDependency, RequestError
from ditkit.models import checkpoints, registry
from ditkit.models.adapters import asked as adapter_asked
from ditkit.models.blank import blank
from ditkit.models.pipeline import folder_of
from ditkit.models.spec import ModelSpec
from ditkit.results.progress import NoProgress, Progress
from ditkit.tasks.shared import classes
from ditkit.tasks.shared import pipeline_parts as parts

COUNT = 16  # samples, unless it is said how many
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def device(runtime: RuntimeConfig) -> torch.device:
    """The device asked for; "auto" is the first there is of cuda, mps and cpu."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(name for name, there in available.items() if there) if runtime.device == "auto" else runtime.device
    if not available[torch.device(name).type]:
        raise RequestError(f"this machine has no {name} device that torch can use; leave runtime.device at auto")
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # each of torchrun's processes has its own
    return torch.device(name)


def model(config: ModelConfig, progress: Progress | None = None) -> Model:
    """The network with its weights and codec, ready on its device; what is worth saying of the weights is noted."""
    if config.runtime.threads:
        torch.set_num_threads(config.runtime.threads)
    spec = checkpoints.with_compat(registry.find(config.model), config.compat)
    where, dtype = device(config.runtime), PRECISIONS[config.runtime.precision]
    adapters = [adapter_asked(text) for text in config.lora]
    loaded = checkpoints.load_backbone(spec, config.weights, config.revision, config.weights_key, adapters)
    scheduled = parts.as_scheduled(loaded.spec, loaded.pipeline)
    for line in (*loaded.notes, *parts.news(loaded.spec, scheduled), *parts.lost(loaded.pipeline, loaded.spec, config.codec)):
        (progress or NoProgress()).note(line)
    spec, codec = _with_codec(config, scheduled, loaded)
    backbone = loaded.backbone.to(where, dtype).eval().requires_grad_(False)
    spec, names = _named(_guided(spec, config.guidance_channels), loaded.class_names)
    how = {"compiled": compiled(config.runtime, where), "recorded": recorded(config.runtime, where)}
    return Model(spec, backbone, codec.to(where, dtype), where, dtype, names, loaded.origin, **how)


def _with_codec(config: ModelConfig, spec: ModelSpec, loaded: checkpoints.Loaded) -> tuple[ModelSpec, Codec]:
    """The codec that is asked for, else the one that came with the weights, else the model's own; and the model that uses it."""
    asked = config.codec
    own = None if asked.name or asked.path else parts.own_codec(loaded.with_vae)
    if own:
        return parts.of_codec(spec, own), own
    with_weights = str(loaded.file) if loaded.file and spec.points else None  # how clouds are normalised is told beside the weights
    return spec, load_codec(asked.name or spec.codec, asked.path or with_weights, asked.revision)


def compiled(runtime: RuntimeConfig, where: torch.device) -> bool:
    """Whether to run compiled graphs; raises `MissingDependency` if they are asked for and there is no compiler to make them."""
    if runtime.compile and where.type == "cpu" and not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        raise MissingDependency("runtime.compile=true needs a C++ compiler; on Debian, 'apt install g++' brings one")
    return runtime.compile


def recorded(runtime: RuntimeConfig, where: torch.device) -> bool:
    """Whether to record runs as CUDA graphs; raises `RequestError` if they are asked for on another device."""
    if runtime.graphs and where.type != "cuda":
        raise RequestError(f"runtime.graphs=true records CUDA graphs, and the device is {where.type}; leave it out")
    return where.type == "cuda" and (runtime.compile if runtime.graphs is None else runtime.graphs)


def blank_model(config: ModelConfig) -> Model:
    """The network without weights or codec, of the numbers that its weights say: for what only its sizes decide."""
    spec = checkpoints.with_compat(registry.find(config.model), config.compat)
    found = Path(config.weights) if config.weights else None
    names = classes.class_names(spec)
    if found is not None and found.exists():
        told, class_names = checkpoints.told_by(spec, found, config.weights_key)
        spec, names = _named(parts.as_scheduled(told, folder_of(found)), class_names)
    guided = _guided(spec, config.guidance_channels)
    return Model(guided, blank(spec.params), load_codec("pixels"), torch.device("meta"), PRECISIONS[config.runtime.precision], names)


def _guided(spec: ModelSpec, channels: int | None) -> ModelSpec:
    """The model with so many channels of its output guided; raises `RequestError` for more than it has."""
    if channels is None:
        return spec
    most = spec.params.channels * (2 if getattr(spec.params, "learn_sigma", False) else 1)
    if channels > most:
        raise RequestError(f"{spec.name} makes {most} channels, of which guidance_channels={channels} cannot be guided")
    return replace(spec, guided_channels=channels)


def _named(spec: ModelSpec, told: tuple[str, ...]) -> tuple[ModelSpec, tuple[str, ...]]:
    """The model and the names of its classes: those that its weights tell, which may be others than the published ones."""
    published = classes.class_names(spec)
    if len(told) > spec.label_count > 0:
        raise CheckpointError(f"the weights name {len(told)} classes and have {spec.label_count}; correct their id2label or class_names")
    return (replace(spec, classes=None), told) if told and told != published else (spec, published)


def request(
    config: RunConfig,
    of: Model,
    planned: CachePlan | None = None,
    seeds: Sequence[int] | None = None,
    prompts: PromptTable | None = None,
) -> SamplingRequest:
    """What the configuration asks of this model, obeying `planned`; `seeds` are taken instead of counting up, prompts in turn."""
    if seeds is None:
        count = (config.count or 1) * len(prompts.texts) if prompts else config.count or COUNT
        seeds = range(config.seed, config.seed + count)
    steps = of.spec.defaults.steps if config.steps is None else config.steps
    guidance = of.spec.defaults.guidance if config.guidance is None else config.guidance
    with_solver = solver(config.sampler, of.spec, steps, reusing=planned is not None or not isinstance(config.cache, NoCache))
    wanted = SamplingRequest(
        labels=classes.labels(config.classes, len(seeds), of, prompts),
        seeds=seeds,
        solver=with_solver,
        guidance=guidance,
        interval=GuidanceInterval(*config.guidance_interval) if config.guidance_interval else EVERYWHERE,
        plan=planned,
        batch=config.batch,
        prompts=prompts,
    )
    wanted.check_fits(of)
    return wanted


def check_makes_pictures(spec: ModelSpec) -> None:
    """Raise `RequestError` for a model of clouds."""
    if spec.points:
        raise RequestError(f"{spec.name} makes point clouds; use it with ditkit gen3d --model {spec.name}")


def check_makes_clouds(spec: ModelSpec) -> None:
    """Raise `RequestError` for a model of pictures."""
    if not spec.points:
        raise RequestError(f"{spec.name} makes pictures; use it with ditkit sample --model {spec.name}")


def solver(sampler: SamplerConfig, spec: ModelSpec, evaluations: int, *, reusing: bool = False) -> Solver:
    """The solver that is asked for, on the model's schedule; what its configuration has besides are the solver's own options.

    `reusing` tells that it is for a plan, for which a model may have defaults of its own.
    """
    if isinstance(sampler, AutoSampler):
        return solver(_published(sampler, spec, reusing=reusing), spec, evaluations)
    if spec.limit and sampler.name not in BY_CLEAN_SAMPLES:
        raise RequestError(
            f"the scheduler of these weights keeps clean samples within a limit, and {sampler.name} goes by velocities; "
            f"choose {', '.join(BY_CLEAN_SAMPLES[:-1])} or {BY_CLEAN_SAMPLES[-1]} with --solver"
        )
    options = {each.name: getattr(sampler, each.name) for each in fields(sampler) if each.name not in ("name", "start", "edge")}
    if isinstance(sampler, DDPMConfig):
        learned = getattr(spec.params, "learn_sigma", False)
        if sampler.variance == "learned" and not learned:
            raise RequestError(f"{spec.name} predicts no variance; use sampler.variance=fixedsmall or sampler.variance=fixedlarge")
        options["variance"] = sampler.variance or ("learned" if learned else "fixedsmall")
    return {**SOLVERS, **ADAPTIVE}[sampler.name](_schedule(sampler, spec), evaluations, **options)


def _published(sampler: AutoSampler, spec: ModelSpec, *, reusing: bool) -> SamplerConfig:
    """The model's own solver and time grid."""
    if spec.defaults.refused:
        raise RequestError(f"{spec.defaults.refused}, and these weights came with it; choose a solver with --solver")
    said: dict[str, Any] = {"start": sampler.start, "edge": sampler.edge}
    said |= {"grid": spec.defaults.grid} if spec.defaults.grid else {}
    eta = spec.defaults.reuse_eta if reusing and spec.defaults.reuse_eta is not None else spec.defaults.eta
    said |= {"eta": eta} if eta else {}
    said |= {"shift": sampler.shift} if sampler.shift != 1 else {}
    try:
        return option("sampler", spec.defaults.solver, **said)
    except TypeError as error:
        raise RequestError(f"{spec.defaults.solver}, the solver of {spec.name}, takes no shift; choose another with --solver") from error


def _schedule(sampler: SamplerConfig, spec: ModelSpec) -> NoiseSchedule | FlowPath:
    """The part of the model's schedule that a run goes through."""
    schedule = named(spec.schedule, **dict(spec.schedule_numbers))
    if isinstance(schedule, FlowPath):
        schedule = schedule.of(spec.prediction, sampler.edge)
    elif sampler.edge is not None:
        raise RequestError(f"{spec.name} has a noise schedule, and no edge to leave out of it; leave out sampler.edge")
    return schedule.below(spec.defaults.start if sampler.start is None else sampler.start)
