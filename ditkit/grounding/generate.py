"""The grounded sampling loop: what happens to x before and after each of a solver's own steps.

The main branch is any `Denoise`, so it may be guided and may follow a plan; what grounding evaluates besides runs plain.

Shapes: B samples, P phrases, L prompt tokens, C channels, h w latent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.solvers import Denoise, Solver, State
from ditkit.grounding.attention_maps import phrase_columns
from ditkit.grounding.layout import Layout
from ditkit.grounding.objects import Asking, ObjectGroup, ObjectState, advance
from ditkit.grounding.pull import Goal, OnPull, pulled
from ditkit.grounding.regions import Place, Region, mask, on_grid, place
from ditkit.grounding.rules import Rules
from ditkit.grounding.transplant import transplanted
from ditkit.models.aspect_bins import Bin
from ditkit.models.pixart import PixArt
from ditkit.models.prompts import Prompts


@dataclass(frozen=True)
class Texts:
    """A layout's prompt, the empty one and its P phrases as the text encoder reads them; and which tokens of the prompt each phrase is."""

    prompt: Prompts
    null: Prompts
    phrases: Prompts
    tokens: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Grounding:
    """A layout as the loop uses it."""

    network: PixArt
    rules: Rules
    goal: Goal
    groups: tuple[ObjectGroup, ...]
    regions: tuple[Region, ...]
    asking: Asking
    recompute: bool = False


@dataclass(frozen=True)
class StepTrace:
    """What a grounded step did, for those who watch: x as the main branch got it and as it left it; the patches that were put into it."""

    pulled: Tensor
    stepped: Tensor
    result: Tensor
    patches: Mapping[int, Tensor] = field(default_factory=dict)
    objects: tuple[ObjectState, ...] = ()


@torch.no_grad()
def prepare(
    network: PixArt,
    layout: Layout,
    texts: Texts,
    shape: tuple[int, int],
    pixels: int,
    sizes: Sequence[Bin],
    rules: Rules,
    asking: Asking,
    *,
    recompute: bool = False,
) -> Grounding:
    """The grounding of pictures whose latents have this `shape` (h, w), each cell `pixels` wide; objects are pictured in one of `sizes`."""
    height, width = shape
    patch = network.params.patch
    grid = height // patch, width // patch
    prompt = trimmed(texts.prompt)
    device = prompt.features.device
    masks = [mask([on_grid(box, *grid, rules) for box in phrase.boxes], *grid) for phrase in layout.phrases]
    goal = Goal(
        network.prepare(prompt),
        phrase_columns(texts.tokens, prompt.features.shape[1]).to(device),
        torch.stack(masks).to(device) if masks else torch.zeros(0, *grid, device=device),
    )
    places = [place(box, height, width, patch, pixels, sizes, rules) for box in layout.boxes]
    alike: dict[tuple[int, ...], list[int]] = {}
    for box, (region, *own) in enumerate(places):
        alike.setdefault((*own, region.rows, region.columns), []).append(box)
    groups = tuple(_group(network, texts, layout, boxes, [places[box] for box in boxes], pixels) for boxes in alike.values())
    regions = tuple(region for region, *_ in places)
    return Grounding(network, rules, goal, groups, regions, asking, recompute)


def _group(network: PixArt, texts: Texts, layout: Layout, boxes: list[int], places: list[Place], pixels: int) -> ObjectGroup:
    """These boxes, all of one size."""
    phrases = [index for index, phrase in enumerate(layout.phrases) for _ in phrase.boxes]
    rows = torch.tensor([phrases[box] for box in boxes], device=texts.phrases.features.device)
    said = (texts.phrases.features[rows], texts.phrases.mask[rows])
    features, kept = (torch.cat([mine, null]) for mine, null in zip(said, texts.null[:2], strict=True))
    shape = places[0].height, places[0].width
    height, width = (pixels * side for side in shape)
    told = torch.tensor([[height, width, height / width]], device=features.device).expand(len(features), 3)
    keys = network.prepare(trimmed(Prompts(features, kept, told)))
    return ObjectGroup(tuple(boxes), tuple(region for region, *_ in places), shape, keys)


def trimmed(prompts: Prompts) -> Prompts:
    """Without the places at the end that are padding in every row: attention gives them nothing."""
    longest = max(int(prompts.mask.any(0).nonzero().max()) + 1, 1)
    return Prompts(prompts.features[:, :longest], prompts.mask[:, :longest], prompts.sizes)


def object_states(
    grounding: Grounding, solver: Solver, seeds: Sequence[int], channels: int, device: torch.device
) -> tuple[ObjectState, ...]:
    """The objects as noise: for every sample and box a stream of its own, which no other box and no other sample changes."""
    states = []
    for group in grounding.groups:
        streams = tuple(_stream(seed, box) for box in group.boxes for seed in seeds)
        noise = SampleNoise(streams).draw(1 + solver.draws, (channels, group.cells + group.crop_shape[0] * group.crop_shape[1]), device)
        latents = noise[0, ..., : group.cells].unflatten(-1, group.shape)
        states.append(ObjectState(latents, solver.init(noise[1:] if solver.draws else None)))
    return tuple(states)


def _stream(seed: int, box: int) -> int:
    return int(np.random.SeedSequence((seed, box)).generate_state(1, np.uint64)[0]) >> 1


@torch.no_grad()
def grounded(
    grounding: Grounding,
    denoise: Denoise,
    solver: Solver,
    x: Tensor,
    state: State,
    objects: Sequence[ObjectState],
    on_pull: OnPull | None = None,
) -> Iterator[StepTrace]:
    """Every step from noise `x` (B, C, h, w): pull, advance the objects, step, transplant; without boxes, and later, only the step."""
    rules = grounding.rules
    grounded_steps = rules.steps(solver.steps) if grounding.regions else 0
    evaluations = -(-len(solver.times) // solver.steps)  # of a step
    states = tuple(objects)
    for step in range(solver.steps):
        inside = step < grounded_steps
        patches: dict[int, Tensor] = {}
        if inside and rules.pulls:
            told = None if on_pull is None else lambda losses, step=step: on_pull(step, losses)
            time = solver.times[min(step * evaluations, len(solver.times) - 1)]  # a last step may have fewer
            x = pulled(grounding.network, x, time, grounding.goal, rules, recompute=grounding.recompute, on_pull=told)
        before = x
        if inside and rules.transplant:
            patches, states = _objects_advanced(grounding, solver, states, x, step)
        after, state = solver.step(denoise, x, step, state)
        x = transplanted(after, [(grounding.regions[box], patches[box]) for box in sorted(patches)], rules.transplant) if patches else after
        yield StepTrace(before, after, x, patches, states)


def _objects_advanced(
    grounding: Grounding, solver: Solver, states: Sequence[ObjectState], x: Tensor, step: int
) -> tuple[dict[int, Tensor], tuple[ObjectState, ...]]:
    """The patch for each box, and all objects one step further."""
    patches: dict[int, Tensor] = {}
    following = []
    for group, state in zip(grounding.groups, states, strict=True):
        crops, advanced = advance(grounding.network, solver, group, state, x, step, grounding.asking)
        patches |= dict(zip(group.boxes, crops, strict=True))
        following.append(advanced)
    return patches, tuple(following)
