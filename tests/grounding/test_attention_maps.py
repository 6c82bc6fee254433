"""Maps as published, and the gradient of x alone, with as little computed as gives the same numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ditkit.execution import Execution, Site, compute_branch
from ditkit.grounding.attention_maps import attention_maps, phrase_columns
from ditkit.grounding.generate import trimmed
from ditkit.grounding.layout import Box
from ditkit.grounding.pull import Goal, pulled
from ditkit.grounding.regions import mask, on_grid
from ditkit.grounding.rules import DEFAULT, PUBLISHED, Rules
from ditkit.models.pixart import PixArt
from ditkit.models.prompts import PixArtConditioning, Prompts
from tests.closeness import assert_close, evaluated, near
from tests.golden_files import golden, golden_json
from tests.grounding.reference import network
from tests.models.tiny import PIXART, drawn, prompts

STEPS = ("step0", "step6")
NAME = "groundit_global_update"


def said() -> Prompts:
    """The conditional row."""
    tensors = golden(NAME)
    return Prompts(tensors["in.encoder_hidden_states"][1:], tensors["in.encoder_attention_mask"][1:])


def goal(model: PixArt) -> Goal:
    facts = golden_json(NAME)
    rows, columns = (side // 16 for side in facts["pixel_hw"])
    masks = [mask([on_grid(Box(*box), rows, columns, PUBLISHED) for box in boxes], rows, columns) for boxes in facts["boxes"]]
    prompt = trimmed(said())
    return Goal(model.prepare(prompt), phrase_columns(facts["token_positions"], prompt.features.shape[1]), torch.stack(masks))


@pytest.mark.parametrize("step", STEPS)
def test_maps_of_the_conditional_prompt_are_the_published_ones(step: str) -> None:
    tensors, facts, model = golden(NAME), golden_json(NAME), network(NAME)
    time = torch.tensor([float(facts["steps"][step]["timestep"])])
    conditioning = model.condition(time, model.prepare(said()))
    one_for_each = torch.eye(said().features.shape[1])
    maps = attention_maps(model, tensors["in.latents"], conditioning, one_for_each, model.params.depth)
    reference = tensors[f"out.{step}.cross_attn_maps"]
    reference = reference.reshape(-1, *reference.shape[-2:])[1]
    assert_close(maps[0].flatten(1).T, reference, evaluated(model, foreign=True))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("recompute", [False, True])
def test_pulls_are_the_published_ones(step: str, recompute: bool) -> None:
    tensors, facts, model = golden(NAME), golden_json(NAME)["steps"][step], network(NAME)
    losses: list[Tensor] = []
    x, seen = tensors["in.latents"], []
    for pulls in (1, 2, 3):
        rules = Rules(**{**vars(PUBLISHED), "pulls": pulls})
        losses.clear()
        seen.append(pulled(model, x, float(facts["timestep"]), goal(model), rules, recompute=recompute, on_pull=losses.append))
    reference = tensors[f"out.{step}.latents_after_each_iteration"]
    assert_close(torch.stack(seen).view_as(reference), reference, evaluated(model, 2 * 3, foreign=True))  # there and back, thrice
    assert torch.cat(losses).tolist() == near(facts["scaled_losses"], evaluated(model, 2 * 3, foreign=True), torch.float32)
    first = tensors[f"out.{step}.first_gradient"]
    size = float(x.abs().max()) / PUBLISHED.weight  # of the latents it is a difference of
    assert_close(((x - seen[0]) / PUBLISHED.weight).view_as(first), first, evaluated(model, 2, foreign=True), size=size)


def everything(model: PixArt, x: Tensor, conditioning: PixArtConditioning, blocks: int) -> Tensor:
    """Maps (B, T, L) by the plain definition, computing all of the network."""
    found = []

    def attend(site: Site, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        logits = q @ k.transpose(-1, -2) / k.shape[-1] ** 0.5
        weights = (logits if bias is None else logits + bias).softmax(-1)
        if site.branch == "cross" and site.block < blocks:
            found.append(weights.mean(1))
        return weights @ v

    model(x, conditioning, Execution(compute_branch, attend))
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("blocks", [1, 2])
def test_what_lies_behind_the_last_map_is_not_computed_and_not_missed(blocks: int) -> None:
    model = drawn(PixArt(PIXART)).requires_grad_(False)
    x = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    conditioning = model.condition(torch.tensor([500.0]), model.prepare(Prompts(*(value[2:] for value in prompts(PIXART, 4)[:2]))))
    columns = phrase_columns([(1,), (0, 1)], 5)
    visited: list[str] = []
    hooks = [block.mlp.register_forward_hook(lambda *_: visited.append("mlp")) for block in model.blocks]
    maps = attention_maps(model, x, conditioning, columns, blocks)
    assert len(visited) == blocks - 1
    for hook in hooks:
        hook.remove()
    plain = (everything(model, x, conditioning, blocks) @ columns).transpose(1, 2).unflatten(-1, (4, 6))
    assert_close(maps, plain, evaluated(model))
    weight = torch.randn_like(maps)
    mine, reference = (torch.autograd.grad((value * weight).sum(), x)[0] for value in (maps, plain))
    assert_close(mine, reference, evaluated(model, 2))  # there and back
    again = attention_maps(model, x, conditioning, columns, blocks, recompute=True)
    assert torch.equal(torch.autograd.grad((again * weight).sum(), x)[0], mine)


def counted(model: PixArt) -> tuple[list[int], Callable[[], None]]:
    """How many rows every evaluation of the network has."""
    rows: list[int] = []
    hook = model.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    return rows, hook.remove


def a_goal(model: PixArt, box: Box) -> Goal:
    prompt = trimmed(prompts(PIXART, 3))
    keys = model.prepare(Prompts(prompt.features[2:], prompt.mask[2:], None))
    return Goal(keys, phrase_columns([(1,)], prompt.features.shape[1]), mask([on_grid(box, 4, 6, DEFAULT)], 4, 6)[None])


@torch.no_grad()
def test_only_the_conditional_row_is_evaluated_and_a_box_that_is_met_ends_the_pulls() -> None:
    model = drawn(PixArt(PIXART)).requires_grad_(False)
    x = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    rows, remove = counted(model)
    moved = pulled(model, x, 500.0, a_goal(model, Box(0, 0, 0.5, 0.5)), Rules(pulls=3))
    assert rows == [2, 2, 2]
    assert not torch.equal(moved, x)
    rows.clear()
    assert torch.equal(pulled(model, x, 500.0, a_goal(model, Box(0, 0, 1, 1)), Rules(pulls=3, enough=0.1)), x)
    assert rows == [2]
    remove()


@torch.no_grad()
def test_a_sample_is_pulled_as_if_it_were_alone() -> None:
    model = drawn(PixArt(PIXART)).requires_grad_(False)
    x = torch.randn(3, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    goal = a_goal(model, Box(0.1, 0.2, 0.6, 0.8))
    alone = torch.cat([pulled(model, one[None], 500.0, goal, DEFAULT) for one in x])
    assert_close(pulled(model, x, 500.0, goal, DEFAULT), alone, evaluated(model, 2 * DEFAULT.pulls))


def test_weights_get_no_gradient() -> None:
    model = drawn(PixArt(PIXART)).requires_grad_(False)
    pulled(model, torch.randn(1, 4, 8, 12), 500.0, a_goal(model, Box(0, 0, 0.5, 0.5)), DEFAULT)
    assert all(parameter.grad is None for parameter in model.parameters())
