"""The local update: every box denoised side by side with a picture of its object alone, whose likeness it takes on ("semantic sharing").

Shapes: B samples, C channels, h w an object's own latent, r c the crop of its box, N boxes x samples, S the cells of both, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.diffusion.guidance import combine
from ditkit.diffusion.prediction import Prediction, Reading
from ditkit.diffusion.solvers import Denoise, Solver, State
from ditkit.grounding.regions import Region
from ditkit.grounding.transplant import crop
from ditkit.models.pixart import PixArt
from ditkit.models.prompts import PixArtConditioning, PromptKeys


@dataclass(frozen=True)
class ObjectGroup:
    """Boxes whose crops have one size and whose objects' pictures have another: they are denoised as one batch.

    `boxes` are their places in the layout's order, `shape` is (h, w), `phrases` has a row for each box and one for "no phrase".
    """

    boxes: tuple[int, ...]
    regions: tuple[Region, ...]
    shape: tuple[int, int]
    phrases: PromptKeys

    @property
    def cells(self) -> int:
        """Of an object's own latent."""
        return self.shape[0] * self.shape[1]

    @property
    def crop_shape(self) -> tuple[int, int]:
        return self.regions[0].rows, self.regions[0].columns


@dataclass(frozen=True)
class ObjectState:
    """A group between two steps: the objects' own latents (N, C, h, w), box by box, and the solver's state for them and their crops."""

    latents: Tensor
    solver: State


@dataclass(frozen=True)
class Asking:
    """How a network is asked: how strongly it is guided at each evaluation, in how many channels, and how its output is read."""

    scales: tuple[float, ...]
    guided_channels: int | None
    reading: Reading


def advance(
    network: PixArt,
    solver: Solver,
    group: ObjectGroup,
    state: ObjectState,
    x_BChw: Tensor,
    step: int,
    asking: Asking,
) -> tuple[list[Tensor], ObjectState]:
    """One solver step of the crops of x together with their objects: the crops (B, C, r, c), one for each box, and the state.

    A solver sees crop and object as one row of cells.
    """
    crops_NCrc = torch.cat([crop(x_BChw, region) for region in group.regions])
    both_NCS = torch.cat([state.latents.flatten(2), crops_NCrc.flatten(2)], dim=2)
    denoise = joint_denoiser(network, solver.times, group, len(x_BChw), asking)
    both_NCS, history = solver.step(denoise, both_NCS, step, state.solver)
    objects_NChw, crops_NCrc = _apart(both_NCS, group)
    return list(crops_NCrc.chunk(len(group.boxes))), ObjectState(objects_NChw, history)


def joint_denoiser(network: PixArt, times: Sequence[float], group: ObjectGroup, samples: int, asking: Asking) -> Denoise:
    """What the network says of objects and crops as one sequence of tokens, each with its place in its own grid."""
    keys, values, bias = (_rows(value, samples) for value in group.phrases[:3])
    size = None if group.phrases.size is None else group.phrases.size[:1]
    rows = keys.shape[0] // 2

    def denoise(both_NCS: Tensor, evaluation: int) -> Prediction:
        objects_NChw, crops_NCrc = _apart(both_NCS.to(keys.dtype), group)
        tokens_NTD = torch.cat([network.embed(objects_NChw), network.embed(crops_NCrc)], dim=1)
        time = torch.tensor([times[evaluation]], device=both_NCS.device)
        vectors = network.condition(time, PromptKeys(keys, values, bias, size)).vectors  # one row: all have one size and one time
        if asking.scales[evaluation] == 1:
            out = _cells(network, network.denoise(tokens_NTD, PixArtConditioning(vectors, keys[:rows], values[:rows], bias[:rows])), group)
        else:
            out = network.denoise(torch.cat([tokens_NTD, tokens_NTD]), PixArtConditioning(vectors, keys, values, bias))
            out = combine(_cells(network, out, group), asking.scales[evaluation], asking.guided_channels)
        return asking.reading.of(out)

    return denoise


def _cells(network: PixArt, out_NTF: Tensor, group: ObjectGroup) -> Tensor:
    """Patches of a prediction as channels of cells, the object's own first."""
    patch = network.params.patch
    tokens = group.cells // patch**2
    parts = (out_NTF[:, :tokens], group.shape[0]), (out_NTF[:, tokens:], group.crop_shape[0])
    return torch.cat([network.unembed(part, height // patch).flatten(2) for part, height in parts], dim=2)


def _apart(both_NCS: Tensor, group: ObjectGroup) -> tuple[Tensor, Tensor]:
    objects, crops = both_NCS[..., : group.cells], both_NCS[..., group.cells :]
    return objects.unflatten(2, group.shape), crops.unflatten(2, group.crop_shape)


def _rows(phrases: Tensor, samples: int) -> Tensor:
    """For every box as many rows as there are samples, then as many of "no phrase"."""
    *of_boxes, null = phrases.split(1)
    return torch.cat([phrase.expand(samples, *phrase.shape[1:]) for phrase in (*of_boxes, *[null] * len(of_boxes))])
