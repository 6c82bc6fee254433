from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ditkit.diffusion.guidance import combine
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear_flow
from ditkit.models.blank import blank
from ditkit.models.dit import SIZES, DiT, DiTParams
from ditkit.models.registry import SPECS, find
from ditkit.models.sit import SiT, SiTParams
from tests.closeness import assert_close, evaluated
from tests.golden_files import golden
from tests.models.tiny import SIT, drawn

PARAMETERS = {"s": 32_963_360, "b": 130_512_416, "l": 458_102_816, "xl": 675_129_632}


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return golden("sit_tiny")


@pytest.fixture(scope="module")
def model(reference: dict[str, Tensor]) -> Any:
    model: Any = SiT(SiTParams(width=64, depth=4, heads=4, patch=2, input_size=8, classes=10))
    model.load_state_dict({name[3:]: value for name, value in reference.items() if name.startswith("sd.")})
    return model.eval()


def model_time(t: Tensor) -> Tensor:
    """Of SiT's own, which is 0 at noise and 1 at the data."""
    return 1000 * (1 - t)


@torch.no_grad()
def test_the_published_forward_is_reproduced(model: Any, reference: dict[str, Tensor]) -> None:
    out = model(reference["in.x"], model.condition(model_time(reference["in.t"]), reference["in.y"]))
    assert_close(out, reference["out.forward"], evaluated(model, foreign=True))


@torch.no_grad()
def test_guidance_leaves_the_fourth_channel_alone(model: Any, reference: dict[str, Tensor]) -> None:
    x, t, y = (reference[f"in.cfg.{name}"] for name in ("x", "t", "y"))
    n = len(x) // 2
    out = model(x[:n].repeat(2, 1, 1, 1), model.condition(model_time(t), y))
    for scale in reference["in.cfg.scales"].tolist():
        expected = reference[f"out.forward_with_cfg_{scale:.1f}"][:n]
        assert_close(combine(out, scale, 3), expected, evaluated(model, guidance=scale, foreign=True))


@pytest.mark.parametrize("size", SIZES)
def test_sizes_have_the_published_number_of_parameters(size: str) -> None:
    assert sum(value.numel() for value in blank(find(f"sit-{size}-2-256").params).state_dict().values()) == PARAMETERS[size]


@torch.no_grad()
def test_it_is_a_dit_told_its_time_unscaled_without_the_variance() -> None:
    sit = drawn(SiT(SIT))
    dit = DiT(DiTParams(**{name: value for name, value in asdict(SIT).items() if name not in ("clock", "qk_norm")}))
    dit.load_state_dict(sit.state_dict())
    x, y = torch.randn(3, 4, 8, 8), torch.tensor([0, 2, 5])
    out = dit(x, dit.condition(torch.tensor([0.0, 0.25, 1.0]), y))
    assert torch.equal(sit(x, sit.condition(torch.tensor([1000.0, 750.0, 0.0]), y)), out[:, :4])
    assert not sit.predicts_variance


@torch.no_grad()
def test_repas_time_runs_the_other_way_and_so_does_its_velocity() -> None:
    """v(x, t) = -v_REPA(x, 1 - t): the same weights read as either say the opposite about the mirrored time."""
    sit, repa = drawn(SiT(SIT)), drawn(SiT(replace(SIT, clock="noise")))
    x, y, t = torch.randn(2, 4, 8, 8), torch.tensor([0, 3]), torch.tensor([750.0, 250.0])
    said = repa(x, repa.condition(t, y))
    assert torch.equal(said, sit(x, sit.condition(1000 - t, y)))
    assert find("sit-xl-2-256-repa").prediction == "reversed velocity"
    assert torch.equal(Prediction(said, "reversed velocity").to_velocity(x, linear_flow().level_at(0.5)), -said)


@torch.no_grad()
def test_queries_and_keys_can_be_normalised_head_by_head() -> None:
    model = drawn(SiT(replace(SIT, qk_norm=True)))
    asked: list[Tensor] = []

    def attend(site, q, k, v, bias=None) -> Tensor:
        asked.extend((q, k))
        return v

    from ditkit.execution import Execution

    for block in model.blocks:
        for norm in (block.attn.q_norm, block.attn.k_norm):
            norm.reset_parameters()
    model(torch.randn(2, 4, 8, 8), model.condition(torch.tensor([500.0, 100.0]), torch.tensor([0, 1])), Execution(attend=attend))
    for value in asked:
        assert float((value.var(-1, correction=0) - 1).abs().max()) < 1e-2  # but for the norm's eps


def test_the_registry_has_every_size_patch_and_picture_and_repas() -> None:
    names = {name for name in SPECS if name.startswith("sit-")}
    assert {f"sit-{size}-{patch}-{image}" for size in SIZES for patch in (2, 4, 8) for image in (256, 512)} < names
    repa = find("sit-xl-2-256-repa")
    assert (repa.guided_channels, repa.drops, find("sit-xl-2-256").guided_channels) == (4, ("projectors.",), 3)
    assert repa.defaults.guidance == 1.8
