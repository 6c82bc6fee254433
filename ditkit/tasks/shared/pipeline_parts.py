"""What a pipeline's folder brings along beside its network: the autoencoder, the noise schedule and how it is sampled."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ditkit.codecs.codec import Codec
from ditkit.codecs.registry import load_autoencoder
from ditkit.config.schema import CodecConfig
from ditkit.diffusion.schedule import FlowPath, NoiseSchedule, named
from ditkit.diffusion.scheduler_config import Scheduled, read_scheduler
from ditkit.errors import CheckpointError
from ditkit.files.json_object import read_object
from ditkit.models.pipeline import AUTOENCODER, INDEX, SCHEDULER, lacks
from ditkit.models.spec import Defaults, ModelSpec


def own_codec(folder: Path | None) -> Codec | None:
    """The autoencoder in the folder's vae/, if it has one."""
    return load_autoencoder(folder) if folder is not None and (folder / AUTOENCODER).is_dir() else None


def of_codec(spec: ModelSpec, codec: Codec) -> ModelSpec:
    """The model that makes pictures through this autoencoder; raises `CheckpointError` if its latents have other channels."""
    if codec.channels != spec.params.channels:
        raise CheckpointError(f"the vae/ beside the weights makes {codec.channels} channels, the network reads {spec.params.channels}")
    return replace(spec, image_size=spec.params.input_size * codec.factor)


def as_scheduled(spec: ModelSpec, folder: Path | None) -> ModelSpec:
    """The model as the folder's scheduler says, if it has one.

    Raises `CheckpointError` for a noise schedule or a prediction that ditkit does not know.
    """
    file = None if folder is None else folder / SCHEDULER
    if file is None or not file.exists():
        return spec
    config, flow = read_object(file), isinstance(named(spec.schedule), FlowPath)
    if flow:
        return replace(spec, defaults=replace(spec.defaults, refused=f"{config.get('_class_name')} is not among ditkit's solvers"))
    try:
        said = read_scheduler(config, words=spec.text is not None)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    limit = tuple(said.limit) if said.limit else None
    return replace(spec, **_schedule(spec, said), prediction=said.prediction, limit=limit, defaults=_defaults(spec.defaults, said))


def news(own: ModelSpec, scheduled: ModelSpec) -> list[str]:
    """A line about a network of few steps, which is sampled otherwise than its model usually is."""
    steps, guidance = scheduled.defaults.steps, scheduled.defaults.guidance
    if (steps, guidance) == (own.defaults.steps, own.defaults.guidance):
        return []
    evaluations = "1 evaluation" if steps == 1 else f"{steps} evaluations"
    return [
        f"its scheduler is one for few steps: {scheduled.defaults.solver}, {evaluations}, guidance {guidance:g}, unless you say otherwise"
    ]


def lost(folder: Path | None, spec: ModelSpec, asked: CodecConfig) -> list[str]:
    """A line about each part that the pipeline lists and its folder has not, unless another was asked for in its place."""
    instead = {AUTOENCODER: spec.codec, SCHEDULER.parent.name: f"{spec.name}'s own noise schedule"}
    said = (AUTOENCODER,) if asked.name or asked.path else ()
    return [
        f"{INDEX} lists a {part}/ that is not in {folder}: {instead[part]} takes its place" for part in lacks(folder) if part not in said
    ]


def _schedule(spec: ModelSpec, said: Scheduled) -> dict[str, object]:
    theirs, ours = named(said.schedule, **said.numbers), named(spec.schedule, **dict(spec.schedule_numbers))
    if isinstance(theirs, NoiseSchedule) and isinstance(ours, NoiseSchedule) and _alike(theirs, ours):
        return {}
    return {"schedule": said.schedule, "schedule_numbers": tuple(said.numbers.items())}


def _alike(a: NoiseSchedule, b: NoiseSchedule) -> bool:
    return np.array_equal(a.betas, b.betas) and a.first_time == b.first_time


def _defaults(own: Defaults, said: Scheduled) -> Defaults:
    if said.solver is None:
        return replace(own, refused=said.refused)
    steps, guidance = said.few or (own.steps, own.guidance)
    return Defaults(said.solver, steps, guidance, grid=said.grid, eta=said.eta)
