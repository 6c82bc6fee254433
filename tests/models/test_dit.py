from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ditkit.diffusion.guidance import combine
from ditkit.execution import Execution, Site
from ditkit.models.blank import blank
from ditkit.models.dit import SIZES, DiT, DiTParams
from ditkit.models.registry import find
from ditkit.nn.embed import sincos_positions_2d, sinusoid
from tests.closeness import ANGLES, assert_close, evaluated, near
from tests.golden_files import golden

PARAMETERS = {
    "s": (32_963_360, 32_945_024, 33_148_160),
    "b": (130_512_416, 130_475_648, 130_881_536),
    "l": (458_102_816, 458_053_760, 458_594_816),
    "xl": (675_129_632, 675_074_432, 675_683_072),
}


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return golden("dit_tiny")


@pytest.fixture(scope="module")
def model(reference: dict[str, Tensor]) -> DiT:
    model = DiT(DiTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10))
    model.load_state_dict({name[3:]: value for name, value in reference.items() if name.startswith("sd.")})
    return model.eval()


@torch.no_grad()
def test_the_published_forward_is_reproduced(model: DiT, reference: dict[str, Tensor]) -> None:
    out = model(reference["in.x"], model.condition(reference["in.t"], reference["in.y"]))
    assert_close(out, reference["out.forward"], evaluated(model, foreign=True))


@torch.no_grad()
def test_every_branch_hands_its_ungated_output_to_the_execution(model: DiT, reference: dict[str, Tensor]) -> None:
    recorded: dict[Site, Tensor] = {}

    def record(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        recorded[site] = compute()
        return recorded[site]

    model(reference["in.x"], model.condition(reference["in.t"], reference["in.y"]), Execution(branch=record))
    for site, output in recorded.items():
        assert_close(output, reference[f"out.inter.block{site.block}.{site.branch}"], evaluated(model, foreign=True))


@torch.no_grad()
def test_embeddings_and_streams_are_the_published_ones(model: DiT, reference: dict[str, Tensor]) -> None:
    streams: dict[str, Tensor] = {}
    named = {f"block{index}": block for index, block in enumerate(model.blocks)} | {"final_tokens": model.final_layer}
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: streams.update({name: output}))
        for name, module in named.items()
    ]
    model(reference["in.x"], model.condition(reference["in.t"], reference["in.y"]))
    for hook in hooks:
        hook.remove()
    streams["patch_tokens_no_pos"] = model.x_embedder(reference["in.x"])
    streams["t_emb"] = model.t_embedder(reference["in.t"])
    streams["y_emb"] = model.y_embedder(reference["in.y"])
    for name, value in streams.items():
        assert_close(value, reference[f"out.inter.{name}"], evaluated(model, foreign=True))
    assert_close(sinusoid(reference["in.t"], 256), reference["out.timestep_embedding_256"], ANGLES)


@torch.no_grad()
def test_guidance_leaves_the_fourth_channel_alone(model: DiT, reference: dict[str, Tensor]) -> None:
    half = reference["in.cfg.x"].chunk(2)[0]
    out = model(torch.cat([half, half]), model.condition(reference["in.cfg.t"], reference["in.cfg.y"]))
    scale = float(reference["in.cfg.scale"])
    assert_close(combine(out, scale, 3), reference["out.forward_with_cfg"].chunk(2)[0], evaluated(model, guidance=scale, foreign=True))


def test_the_position_table_is_the_published_one_to_the_bit(reference: dict[str, Tensor]) -> None:
    assert torch.equal(sincos_positions_2d(64, 4, 4), reference["sd.pos_embed"])


@torch.no_grad()
def test_conditioning_broadcasts_times_against_labels(model: DiT) -> None:
    t, y = torch.tensor([[1.0], [500.0]]), torch.tensor([[0, 3, 10]])
    table = model.condition(t, y)
    row = model.condition(torch.tensor([500.0]), torch.tensor([3]))
    assert table.shape == (2, 3, 6 * 4 + 2, 1, 64)
    assert_close(table[1, 1], row[0], evaluated(model))


def test_a_fresh_model_outputs_zero_and_has_identity_blocks() -> None:
    model = DiT(DiTParams(width=32, depth=2, heads=2, patch=2, input_size=8, classes=5))
    x = torch.randn(2, 4, 8, 8)
    assert not model(x, model.condition(torch.zeros(2), torch.zeros(2, dtype=torch.long))).any()


@pytest.mark.parametrize(("size", "patch", "expected"), [(size, p, PARAMETERS[size][i]) for size in SIZES for i, p in enumerate((2, 4, 8))])
def test_the_sizes_have_the_published_number_of_parameters(size: str, patch: int, expected: int) -> None:
    state = blank(find(f"dit-{size}-{patch}-256").params).state_dict()
    assert sum(value.numel() for value in state.values()) == expected


def test_at_512_pixels_only_the_position_table_grows() -> None:
    state = blank(find("dit-xl-2-512").params).state_dict()
    assert sum(value.numel() for value in state.values()) == 676_014_368
    assert len(state) == 292


def test_multiply_adds_are_those_of_the_paper() -> None:
    costs = blank(find("dit-xl-2-256").params).multiply_adds()
    assert sum(costs.values()) == near(118.6e9, within=0.3e9)  # "Gflops" in table 4 of the paper
