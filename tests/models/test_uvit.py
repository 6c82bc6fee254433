from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ditkit.execution import Execution, Site
from ditkit.models.blank import blank
from ditkit.models.registry import find
from ditkit.models.uvit import UViT, UViTParams
from ditkit.nn.embed import sinusoid
from tests.closeness import ANGLES, assert_close, evaluated, near
from tests.golden_files import golden

NAMES = ("in_blocks.0", "in_blocks.1", "mid_block", "out_blocks.0", "out_blocks.1")


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return golden("uvit_tiny")


@pytest.fixture(scope="module")
def model(reference: dict[str, Tensor]) -> UViT:
    model = UViT(UViTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10, null_class=True, conv=False))
    model.load_state_dict({name[3:]: value for name, value in reference.items() if name.startswith("sd.")})
    return model.eval()


@torch.no_grad()
def test_the_published_forward_is_reproduced(model: UViT, reference: dict[str, Tensor]) -> None:
    out = model(reference["in.x"], model.condition(reference["in.t"], reference["in.y"]))
    assert_close(out, reference["out.forward"], evaluated(model, foreign=True))


@torch.no_grad()
def test_every_branch_hands_its_output_to_the_execution(model: UViT, reference: dict[str, Tensor]) -> None:
    recorded: dict[Site, Tensor] = {}

    def record(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        recorded[site] = compute()
        return recorded[site]

    model(reference["in.x"], model.condition(reference["in.t"], reference["in.y"]), Execution(branch=record))
    for site, output in recorded.items():
        assert_close(output, reference[f"out.inter.{NAMES[site.block]}.{site.branch}"], evaluated(model, foreign=True))


@torch.no_grad()
def test_the_streams_are_the_published_ones(model: UViT, reference: dict[str, Tensor]) -> None:
    streams: dict[str, Tensor] = {}
    named = {name: model.get_submodule(name) for name in NAMES} | {"decoder_tokens": model.decoder_pred}
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: streams.update({name: output}))
        for name, module in named.items()
    ]
    hooks.append(model.in_blocks[0].register_forward_pre_hook(lambda _module, inputs: streams.update(tokens_in=inputs[0])))
    model(reference["in.x"], model.condition(reference["in.t"], reference["in.y"]))
    for hook in hooks:
        hook.remove()
    for name, value in streams.items():
        assert_close(value, reference[f"out.inter.{name}"], evaluated(model, foreign=True))
    assert_close(sinusoid(reference["in.t"], 64), reference["out.time_embedding"], ANGLES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uvit-cifar10-s-2", 44_255_328),
        ("uvit-m-4-64", 130_940_292),
        ("uvit-l-4-64", 286_827_652),
        ("uvit-l-2-256", 286_763_172),
        ("uvit-h-2-256", 500_832_016),
        ("uvit-h-4-512", 500_942_656),
    ],
)
def test_the_sizes_have_the_published_number_of_parameters(name: str, expected: int) -> None:
    model = blank(find(name).params)
    assert sum(value.numel() for value in model.parameters()) == expected


def test_the_huge_model_has_29_blocks_and_the_published_cost() -> None:
    model = blank(find("uvit-h-2-256").params)
    assert len(model.sites) == 58
    assert sum(model.multiply_adds().values()) == near(133.2e9, within=0.3e9)
