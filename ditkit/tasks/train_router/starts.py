"""Where a router's training starts from: noised data, or the model's own trajectories."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch

from ditkit.codecs.points import Points
from ditkit.config.schema import TrainRouterConfig
from ditkit.data.clouds import CloudDraws
from ditkit.data.images import load_pictures
from ditkit.diffusion.solvers import Solver
from ditkit.engine.conditions import PromptTable
from ditkit.engine.distributed import World, barrier
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.errors import RequestError
from ditkit.files.tensors import read_tensors, write_tensors
from ditkit.results.progress import Progress
from ditkit.routing.starts import NoisedData, Starts, Trajectories, record_trajectories
from ditkit.tasks.shared import classes
from ditkit.tasks.shared.classes import places
from ditkit.tasks.shared.clouds import labelled
from ditkit.tasks.shared.latents import encoded

TRAJECTORY_BATCH = 32


def starts_for(
    config: TrainRouterConfig,
    model: Model,
    prompts: PromptTable | None,
    solver: Solver,
    guidance: float,
    folder: Path,
    world: World,
    progress: Progress,
) -> Starts:
    """Noised pictures or clouds if there are data, else the model's own trajectories; made by the first process and kept on disk."""
    if config.data.path is not None:
        if prompts:
            raise RequestError(f"{config.model} reads prompts and learns from its own trajectories only; leave out --data")
        if model.spec.points:
            return NoisedData(_clouds(config, model, progress), solver, model)
        pictures = load_pictures(config.data.path, model.spec.image_size, config.data.background, progress.note)
        named = places(pictures.class_names, model.spec, model.class_names, config.data.path) if model.spec.label_count else None
        latents = encoded(config.data, pictures, model.codec, model.spec.codec, folder, model.device, world, progress)
        return NoisedData(latents if named is None else replace(latents, labels=torch.tensor(named)[latents.labels]), solver, model)
    request = SamplingRequest(
        labels=classes.labels((), config.samples, model, prompts),
        seeds=range(config.seed, config.seed + config.samples),
        solver=solver,
        guidance=guidance,
        batch=TRAJECTORY_BATCH,
        prompts=prompts,
    )
    known = [
        "with ends",
        dict(model.origin),
        solver.name,
        solver.times,
        guidance,
        tuple(request.labels),
        tuple(request.seeds),
        repr(config.sampler),
    ]
    known += [prompts.texts, dict(prompts.origin)] if prompts else []
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]
    file = Path(config.data.cache or folder) / f"trajectories-{digest}.safetensors"
    if world.rank:
        barrier(world)
    if not file.exists():
        progress.start(config.samples * len(solver.times), "sampling trajectories")
        made = record_trajectories(model, request, progress.advance)
        write_tensors(file, {"x": made.x, "ends": made.ends} | ({} if made.remembered is None else {"remembered": made.remembered}))
    if world.rank == 0:
        barrier(world)
    state = read_tensors(file)
    return Trajectories(
        state["x"], state["ends"], state.get("remembered"), torch.tensor(tuple(request.labels)), tuple(request.seeds), solver.draws
    )


def _clouds(config: TrainRouterConfig, model: Model, progress: Progress) -> CloudDraws:
    """In the coordinates of the model, whatever data it was trained on."""
    data, codec = config.data, model.codec.module
    assert isinstance(codec, Points)
    clouds = labelled(data, model.spec, model.class_names, progress.note)
    return CloudDraws(clouds, codec, model.spec.points, mirror=data.mirror, stretch=data.stretch, balance=data.balance)
