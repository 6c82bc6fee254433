"""`ditkit gen3d`: point clouds from a model, as files, surfaces and pictures."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.codecs.points import Points
from ditkit.config.schema import Gen3DConfig
from ditkit.engine import sampler
from ditkit.engine.denoiser import OnStep
from ditkit.engine.distributed import World
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.turns import distinct
from ditkit.errors import DataError, MissingDependency, RequestError, UnknownName
from ditkit.files.atomic import write_atomically
from ditkit.models.spec import ModelSpec
from ditkit.results.folder import GRID_LIMIT, RunFolder
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.shapes import preview
from ditkit.shapes.clouds import Note, ignore, read_points, write_ply
from ditkit.shapes.meshes import Mesh, alpha_shape, write_obj
from ditkit.tasks.shared import build, classes, runs
from ditkit.tasks.shared.kind import Record

TURNING = 9  # clouds in the turntable
GRID_SIDE, TURNTABLE_SIDE = 256, 160
MILLISECONDS = 90  # that a frame of the turntable stays


class Clouds:
    """Clouds, each in a file and all in one; with `mesh` a surface around each; a grid and a turntable of the first ones."""

    command, samples, schema = "gen3d", "clouds", Gen3DConfig

    def check(self, config: Gen3DConfig, spec: ModelSpec) -> None:
        build.check_makes_clouds(spec)

    def request(
        self, config: Gen3DConfig, model: Model, plan: CachePlan | None, progress: Progress, world: World
    ) -> tuple[Model, SamplingRequest]:
        """The model for clouds of so many points, asked for categories it knows, and for those that begin with the given points."""
        wanted = config.points or model.spec.points
        sized = replace(model, spec=replace(model.spec, points=max(wanted, model.spec.points)))  # of fewer it would err: `save` cuts
        _check_categories(config.classes, sized)
        asked = build.request(config, sized, plan)
        if config.partial is None:
            return sized, asked
        given = torch.from_numpy(_given(config.partial, wanted, progress.note))
        replace(asked, known=given.T).check_fits(replace(sized, spec=replace(sized.spec, points=wanted)))
        framed = _in_its_frame(config, sized, given, progress)
        return framed, replace(asked, known=framed.codec.encode(given.T[None])[0])

    def record(self, config: Gen3DConfig, request: SamplingRequest) -> Record:
        known = None if request.known is None else hashlib.sha256(request.known.cpu().numpy().tobytes()).hexdigest()
        return {"points": config.points, "known": known}

    def sample(
        self, config: Gen3DConfig, model: Model, request: SamplingRequest, folder: RunFolder, batches: Sequence[range], on_step: OnStep
    ) -> Iterator[SampleBatch]:
        return sampler.sample(model, request, batches, on_step, overlap=True)

    def file(self, folder: RunFolder, index: int) -> Path:
        return folder.cloud_file(index)

    def save(self, config: Gen3DConfig, folder: RunFolder, index: int, sample: Tensor) -> None:
        write_ply(folder.cloud_file(index), sample.T[: config.points].contiguous().numpy())

    def finish(
        self, config: Gen3DConfig, folder: RunFolder, request: SamplingRequest, names: Sequence[str]
    ) -> tuple[list[Path], list[str]]:
        clouds = [read_points(folder.cloud_file(index), 0) for index in range(len(names))]
        together = folder.path / "clouds.npz"
        known = sorted(distinct(request.labels))
        arrays: dict[str, Any] = {
            "points": np.stack(clouds),
            "labels": np.searchsorted(known, request.labels),
            "class_names": [names[request.labels.index(label)] for label in known],
            "seeds": np.array(request.seeds, dtype=np.int64),
        }
        write_atomically(together, lambda part: np.savez(part, **arrays))
        try:
            pictures, notes = _show(config, folder, clouds, names)
        except MissingDependency as error:
            return [together], [f"the clouds are saved; {error}"]
        return [together, *pictures], notes


def run(config: Gen3DConfig, progress: Progress) -> Report:
    """Make the clouds that the configuration asks for; those that are there already are not made again."""
    return runs.run(Clouds(), config, progress)


def estimate(config: Gen3DConfig) -> Report:
    """What the run would cost: multiply-adds with and without the plan, and memory. Nothing is loaded, sampled or written."""
    return runs.estimate(Clouds(), config)


def _check_categories(wanted: Sequence[str], model: Model) -> None:
    for word in wanted:
        try:
            classes.labels([word], 1, model)
        except UnknownName as error:
            raise RequestError(f"no category named '{word}'; {model.spec.name} knows {', '.join(model.class_names)}") from error


def _given(partial: str, points: int, note: Note = ignore) -> np.ndarray:
    """The points of the cloud to complete; of a mesh, half as many as a cloud is to have."""
    return read_points(Path(partial), points // 2, note=note)


def _beginning_with(given_3K: Tensor, clouds_B3P: Tensor) -> Tensor:
    """The clouds with the given points as they are, not as they come back from being normalised."""
    return torch.cat([given_3K.expand(len(clouds_B3P), -1, -1), clouds_B3P[..., given_3K.shape[1] :]], dim=-1)


def _in_its_frame(config: Gen3DConfig, model: Model, given_P3: Tensor, progress: Progress) -> Model:
    """The model for clouds in the coordinates of the part: its own, or, if those are of other units, moved and scaled to them."""
    codec = model.codec.module
    if config.frame == "model" or not isinstance(codec, Points) or (config.frame == "auto" and codec.takes(given_P3)):
        return model
    own = Points.around(given_P3)
    if not own.scale > 0:
        raise DataError(f"{config.partial} has all its points at one place; a part of a shape has some extent")
    centre = ", ".join(f"{place:.4g}" for place in own.mean)
    progress.note(
        f"{config.partial} is taken in units of its own, with ({centre}) for the middle of the whole shape; "
        "what is made comes back in them (frame=model takes them for the model's)"
    )
    return replace(model, codec=replace(model.codec, module=own, origin={"mean": list(own.mean), "scale": own.scale, "of": "the part"}))


def _show(config: Gen3DConfig, folder: RunFolder, clouds: Sequence[np.ndarray], names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The surfaces if they are wanted, the grid and the turntable."""
    surfaces = _surfaces(folder, clouds) if config.mesh else {}
    shown = range(min(len(clouds), GRID_LIMIT))
    scenes = [preview.of_mesh(surfaces[index]) if index in surfaces else preview.of_cloud(clouds[index]) for index in shown]
    grid = folder.save_grid([scene.picture(GRID_SIDE) for scene in scenes], names)
    first, *others = preview.turntable(scenes[:TURNING], TURNTABLE_SIDE)
    turntable = folder.path / "turntable.gif"
    options: dict[str, Any] = {"format": "gif", "save_all": True, "append_images": others, "duration": MILLISECONDS, "loop": 0}
    write_atomically(turntable, lambda part: first.save(part, **options))
    lacking = len(clouds) - len(surfaces) if config.mesh else 0
    return [grid, turntable], [f"{lacking} of {len(clouds)} clouds enclose nothing and have no mesh"] if lacking else []


def _surfaces(folder: RunFolder, clouds: Sequence[np.ndarray]) -> dict[int, Mesh]:
    """The surface around each cloud that encloses something, written beside the clouds."""
    surfaces: dict[int, Mesh] = {}
    for index, cloud in enumerate(clouds):
        try:
            surfaces[index] = alpha_shape(cloud)
        except DataError:
            continue
        write_obj(folder.path / "meshes" / f"{index:06d}.obj", surfaces[index])
    return surfaces
