"""Grounded pictures as the engine samples any: noise of their own for every seed, batches that are halved until they fit.

Shapes: B samples, C channels, h w latent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.engine.denoiser import OnStep, denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.sampler import sample as sample_batches
from ditkit.errors import RequestError
from ditkit.grounding.generate import Grounding, Texts, grounded, object_states, prepare
from ditkit.grounding.layout import Layout
from ditkit.grounding.objects import Asking
from ditkit.grounding.pull import OnPull
from ditkit.grounding.rules import DEFAULT, Rules
from ditkit.models.prompts import Prompts
from ditkit.models.sizes import object_sizes, pixels_per_cell

OnBelief = Callable[[Sequence[int], int, Tensor], None]
"""Told which samples, the evaluation, and the clean latents that the main branch believes in there."""


@dataclass(frozen=True)
class Scene:
    """One layout of a request, whose label is its place among the scenes.

    `shape` (h, w) is that of its latents, `picture` the height and width to crop to, `phrases` the rows of the request's prompts that
    are its phrases, `tokens` the places of each in the layout's prompt.
    """

    layout: Layout
    shape: tuple[int, int]
    picture: tuple[int, int] | None = None
    phrases: tuple[int, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class GroundedRequest(SamplingRequest):
    """A request whose labels are scenes. `recompute`: see `attention_maps`."""

    scenes: tuple[Scene, ...] = ()
    rules: Rules = DEFAULT
    recompute: bool = False

    def check_fits(self, model: Model) -> None:
        super().check_fits(model)
        if model.compiled:
            raise RequestError("grounded sampling does not run as compiled graphs; leave out runtime.compile=true")
        if model.recorded:
            raise RequestError("grounded sampling is not recorded as CUDA graphs; leave out runtime.graphs=true")
        if not self.solver.times:
            raise RequestError(f"grounded sampling needs steps that are known beforehand; {self.solver.name} chooses its own")


@dataclass(frozen=True)
class Watch:
    """What to tell of a run while it goes on."""

    step: OnStep | None = None
    pull: OnPull | None = None
    belief: OnBelief | None = None


def sample(model: Model, request: GroundedRequest, batches: Sequence[range] | None = None, watch: Watch = Watch()) -> Iterator[SampleBatch]:
    """Sample `batches` of the request (all of them by default), a scene at a time, yielding each as it is finished.

    The plan, if the request has one, is followed by the main branch alone. A scene without boxes is sampled as without grounding.
    """
    for batch in request.batches() if batches is None else batches:
        for label, indices in groupby(batch, key=lambda index: request.labels[index]):
            scene = request.scenes[label]
            sized = replace(model, spec=replace(model.spec, shape=scene.shape))
            draw = partial(sample_latents, sized, request, watch=watch)
            yield from sample_batches(sized, replace(request, picture=scene.picture), [tuple(indices)], draw=draw)


@torch.no_grad()
def sample_latents(model: Model, request: GroundedRequest, indices: Sequence[int], watch: Watch = Watch()) -> Tensor:
    """The latents (B, C, h, w) of these samples, all of one scene."""
    solver = request.solver
    labels, seeds = [request.labels[index] for index in indices], [request.seeds[index] for index in indices]
    noise = SampleNoise(tuple(seeds)).draw(1 + solver.draws, model.spec.sample_shape, model.device)
    grounding = prepared(model, request, labels[0])
    objects = object_states(grounding, solver, seeds, model.spec.params.channels, model.device)
    main = denoiser(model, request, labels, watch.step)

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        prediction = main(x, evaluation)
        if watch.belief:
            watch.belief(indices, evaluation, prediction.to_x0(x, solver.levels[evaluation]))
        return prediction

    x = noise[0]
    state = solver.init(noise[1:] if solver.draws else None)
    for trace in grounded(grounding, denoise, solver, x, state, objects, watch.pull):
        x = trace.result
    return x


def prepared(model: Model, request: GroundedRequest, label: int) -> Grounding:
    """The grounding of a scene."""
    assert request.prompts is not None
    network: Any = model.backbone
    rows = request.prompts.rows

    def taken(places: Sequence[int]) -> Prompts:
        chosen: Any = [None if value is None else value[list(places)].to(model.device) for value in rows]
        return Prompts(*chosen)

    scene = request.scenes[label]
    scales = tuple(request.guidance if inside else 1.0 for inside in request.interval.covers(request.solver.times))
    texts = Texts(taken([label]), taken([request.prompts.null[label]]), taken(scene.phrases), scene.tokens)
    return prepare(
        network,
        scene.layout,
        texts,
        scene.shape,
        pixels_per_cell(model.spec),
        object_sizes(model.spec),
        request.rules,
        Asking(scales, model.spec.guided_channels, model.reading),
        recompute=request.recompute,
    )
