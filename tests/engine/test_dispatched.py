"""Launches and bytes are counted as they are, and one evaluation of the large models takes no more of either than it does today.

Eager, in bfloat16, on pretended tensors: what a GPU would be asked for, but for how attention is split up there. DiT-XL/2 and
PixArt-XL draw one guided picture, DiT-3D-S/4 sixteen clouds.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.engine.conditions import PromptTable
from ditkit.engine.denoiser import denoiser
from ditkit.engine.dispatched import Dispatched
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.models import registry
from ditkit.models.blank import blank
from ditkit.models.prompts import Prompts
from ditkit.models.spec import ModelSpec
from tests.models.tiny import inputs, tiny

CPU = torch.device("cpu")


class Budget(NamedTuple):
    """Of one evaluation: operators launched, and MiB that they read and write."""

    launches: int
    mib: int


BUDGETS = {  # by model: computed, every branch forecast from two outputs by weights of its own, forecast as a whole; lower them
    "dit-xl-2-256": (Budget(351, 2188), Budget(127, 390), Budget(1, 0)),
    "pixart-xl-2-512": (Budget(461, 7497), Budget(181, 2309), Budget(1, 0)),
    "dit3d-s-4-32": (Budget(200, 3209), Budget(104, 1005), Budget(1, 1)),
}
BATCH = {"dit3d-s-4-32": 16}


@pytest.mark.parametrize("name", BUDGETS)
def test_an_evaluation_launches_and_moves_no_more_than_its_budget(name: str) -> None:
    for found, budget in zip(_spent(name), BUDGETS[name], strict=True):
        assert found.launches <= budget.launches and found.mib <= budget.mib


@torch.no_grad()
def test_a_product_is_one_launch_that_moves_its_matrices_and_a_view_is_none() -> None:
    layer, x = nn.Linear(3, 5), torch.randn(7, 3)
    with Dispatched() as seen:
        y = layer(x).unflatten(1, (1, 5)).transpose(0, 1).expand(2, 7, 5)
    assert seen.launches == 1 and seen.bytes == 4 * (7 * 3 + 3 * 5 + 5 + 7 * 5)
    with Dispatched() as seen:
        y.mul(2)  # of which every number lies there once
    assert seen.launches == 1 and seen.bytes == 4 * (7 * 5 + 2 * 7 * 5)
    with Dispatched() as seen:
        x.add_(1)
    assert seen.launches == 1 and seen.bytes == 4 * 7 * 3
    with Dispatched() as seen:
        torch._foreach_add_([x, layer.weight], 1)  # pyright: ignore[reportPrivateImportUsage] (which returns nothing)
    assert seen.launches == 1 and seen.bytes == 4 * (7 * 3 + 3 * 5)


@torch.no_grad()
@pytest.mark.parametrize("family", ["dit", "sit", "uvit", "dit3d", "pixart"])
def test_tokens_lie_one_after_another_wherever_a_norm_reads_them(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lying across, as a convolution leaves them, they would be copied for every norm, and every residual sum would read them so."""
    model = tiny(family)
    x, t, y = inputs(model)
    conditioning, normed, norm = model.condition(t, y), [], nn.functional.layer_norm

    def watched(tokens: Tensor, *args: Any, **named: Any) -> Tensor:
        normed.append(tokens.is_contiguous())
        return norm(tokens, *args, **named)

    monkeypatch.setattr(nn.functional, "layer_norm", watched)
    model(x, conditioning)
    assert len(normed) >= 2 * model.params.depth and all(normed)


def _spent(name: str) -> list[Budget]:
    """What an evaluation takes. All blocks are alike, so networks of one and of two of them tell what one of all takes."""
    spec = registry.find(name)
    one, two = (_seen(replace(spec, params=replace(spec.params, depth=depth)), BATCH.get(name, 1)) for depth in (1, 2))
    whole = [[a + (spec.params.depth - 1) * (b - a) for a, b in zip(*both, strict=True)] for both in zip(one, two, strict=True)]
    return [Budget(launches, round(moved / 2**20)) for launches, moved in whole]


def _seen(spec: ModelSpec, batch: int) -> list[tuple[int, int]]:
    """Launches and bytes of the third, fourth and fifth evaluation of a run: computed, forecast by branches, and as a whole."""
    solver = ddim(linear(), 5)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model = Model(spec, _pretended(blank(spec.params)), load_codec("pixels"), CPU, torch.bfloat16)
        sites = model.backbone.sites
        rows = tuple((evaluation < 3,) * len(sites) for evaluation in range(5))
        forecast = {(3, column): ((1.4, -0.4), (1.5, -0.5))[column % 2] for column in range(len(sites))}  # no two that follow are alike
        plan = CachePlan(sites, tuple(solver.times), rows, forecast=forecast, whole={4: (1.4, -0.4)})
        request = SamplingRequest((0,) * batch, range(batch), solver, 1.0 if spec.points else 4.0, plan=plan, prompts=_prompts(spec))
        denoise, x = denoiser(model, request, request.labels), torch.empty(batch, *spec.sample_shape)
        spent = []
        for evaluation in range(5):
            with Dispatched() as seen:
                denoise(x, evaluation)
            spent.append((seen.launches, seen.bytes))
    return spent[2:]


def _pretended(network: Any) -> Any:
    """The network with tensors of no content for its parameters."""
    for module in network.modules():
        for name, value in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            empty = torch.empty(value.shape, dtype=torch.bfloat16)
            if isinstance(value, nn.Parameter):
                module.register_parameter(name, nn.Parameter(empty, requires_grad=False))
            else:
                module.register_buffer(name, empty)
    return network.eval()


def _prompts(spec: ModelSpec) -> PromptTable | None:
    if not spec.text:
        return None
    params: Any = spec.params
    tokens, width = params.caption_tokens, params.caption_width
    return PromptTable(("a cat",), Prompts(torch.empty(2, tokens, width), torch.ones(2, tokens)), (1,))
