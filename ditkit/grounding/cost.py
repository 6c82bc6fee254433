"""What a grounded picture costs, from the multiply-adds a network declares; and what the gradient of a pull keeps in memory."""

from collections.abc import Mapping, Sequence

import torch

from ditkit.execution import Site
from ditkit.grounding.attention_maps import attention_maps
from ditkit.grounding.regions import Place
from ditkit.grounding.rules import Rules
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.prompts import PixArtConditioning, Prompts

FORWARD_AND_BACKWARD = 2  # the gradient of the input alone costs what the forward pass does


def extra_multiply_adds(network: PixArt, shape: tuple[int, int], places: Sequence[Place], rules: Rules, steps: int, rows: int) -> int:
    """What grounding adds to plain sampling of a picture whose latents have this shape, if no pull is saved by ending early.

    `rows` is how many rows of a batch a sample takes: 2 with guidance.
    """
    if not places:
        return 0
    patch = network.params.patch
    pull = FORWARD_AND_BACKWARD * _until_maps(network, network.multiply_adds(shape[0] // patch, shape[1] // patch), rules)
    joint = 0
    for region, height, width in places if rules.transplant else ():
        tokens = (region.rows * region.columns + height * width) // patch**2
        joint += rows * sum(network.multiply_adds(tokens, 1).values())
    return rules.steps(steps) * (rules.pulls * pull + joint)


def gradient_bytes(params: PixArtParams, shape: tuple[int, int], samples: int, rules: Rules, itemsize: int, *, recompute: bool) -> int:
    """What the forward pass of a pull keeps for its gradient: counted in float32, on tensors without memory, then scaled."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # takes two seconds, and only an estimate needs it

    kept: dict[int, tuple[object, int]] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        kept[id(storage)] = storage, storage.nbytes()
        return value

    with FakeTensorMode():
        network = PixArt(params).requires_grad_(False)
        own = {id(value.untyped_storage()) for value in (*network.parameters(), *network.buffers())}
        features = torch.zeros(1, params.caption_tokens, params.caption_width)
        prompts = Prompts(features, torch.ones(features.shape[:2]), torch.ones(1, 3))
        vectors, *prompt = network.condition(torch.zeros(1), network.prepare(prompts))
        conditioning = PixArtConditioning(vectors, *(value.expand(samples, *value.shape[1:]) for value in prompt))
        x = torch.zeros(samples, params.channels, *shape, requires_grad=True)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            columns = torch.zeros(params.caption_tokens, 1)
            attention_maps(network, x, conditioning, columns, rules.used_blocks(params.depth), recompute=recompute)
    return sum(size for key, (_, size) in kept.items() if key not in own) * itemsize // torch.float32.itemsize


def _until_maps(network: PixArt, costs: Mapping[Site | str, int], rules: Rules) -> int:
    """The part of an evaluation up to the last map."""
    last = rules.used_blocks(network.params.depth) - 1
    return sum(cost for site, cost in costs.items() if isinstance(site, Site) and (site.block, site.branch == "mlp") <= (last, False))
