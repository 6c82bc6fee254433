"""The global update: x pulled towards a picture whose attention lies in the boxes.

Shapes: B samples, P phrases, L prompt tokens, C channels, h w latent, r c token grid.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.grounding.attention_maps import attention_maps
from ditkit.grounding.losses import grounding_loss
from ditkit.grounding.rules import Rules
from ditkit.models.pixart import PixArt
from ditkit.models.prompts import PixArtConditioning, PromptKeys

OnPull = Callable[[int, Tensor], None]
"""Told the solver step and the scaled losses (of those samples that are still pulled) of every pull."""


@dataclass(frozen=True)
class Goal:
    """Which phrase is to be where: one row of the prompt's keys, its phrases' tokens (L, P) and their boxes (P, r, c), as 0 and 1."""

    prompt: PromptKeys
    columns: Tensor
    masks: Tensor


def pulled(
    network: PixArt,
    x_BChw: Tensor,
    time: float,
    goal: Goal,
    rules: Rules,
    *,
    recompute: bool = False,
    on_pull: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """x after as many pulls as the rules make; a sample whose loss is small enough is left alone from then on.

    Only the conditional prompt is evaluated, for the null one says nothing about phrases; of the network's weights no gradient
    is computed.
    """
    conditioning = network.condition(torch.tensor([time], device=x_BChw.device), goal.prompt)
    depth = rules.used_blocks(network.params.depth)
    x, active = x_BChw, torch.arange(len(x_BChw), device=x_BChw.device)
    for _ in range(rules.pulls):
        with torch.enable_grad():
            leaf = x[active].requires_grad_()
            maps = attention_maps(
                network, leaf.to(goal.prompt.keys.dtype), _for(conditioning, len(leaf)), goal.columns, depth, recompute=recompute
            )
            losses_B = rules.scale * grounding_loss(maps, goal.masks, rules)
            (gradient,) = torch.autograd.grad(losses_B.sum(), leaf)
        if on_pull:
            on_pull(losses_B.detach())
        x = x.index_copy(0, active, x[active] - rules.weight * torch.nan_to_num(gradient))
        active = active[losses_B > rules.stop]
        if not len(active):
            break
    return x


def _for(conditioning: PixArtConditioning, samples: int) -> PixArtConditioning:
    """The prompt's keys and values for so many samples; adaLN's vectors broadcast by themselves."""
    vectors, *prompt = conditioning
    return PixArtConditioning(vectors, *(value.expand(samples, *value.shape[1:]) for value in prompt))
