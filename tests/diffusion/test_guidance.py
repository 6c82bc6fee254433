import pytest
import torch

from ditkit.diffusion.guidance import GuidanceInterval, combine
from ditkit.errors import RequestError
from tests.closeness import assert_close

COND, NULL = torch.randn(2, 3, 8, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
OUT = torch.cat([COND, NULL])


def test_guidance_extrapolates_from_null_through_the_condition() -> None:
    assert_close(combine(OUT, 4.0), NULL + 4 * (COND - NULL))
    assert_close(combine(OUT, 1.0), COND)
    assert_close(combine(OUT, 0.0), NULL)


def test_channels_beyond_the_guided_ones_stay_those_of_the_condition() -> None:
    guided = combine(OUT, 4.0, guided_channels=3)
    assert_close(guided[:, :3], (NULL + 4 * (COND - NULL))[:, :3])
    assert torch.equal(guided[:, 3:], COND[:, 3:])


def test_half_precision_outputs_are_combined_in_float32() -> None:
    half = OUT.bfloat16()
    assert torch.equal(combine(half, 4.0, 3), combine(half.float(), 4.0, 3))
    assert combine(OUT.double(), 4.0).dtype == torch.float64


def test_an_interval_is_decided_from_the_times_before_the_loop() -> None:
    assert GuidanceInterval(100, 700).covers((999.0, 700.0, 349.92, 100.0, 50.0)) == (False, True, True, True, False)
    assert GuidanceInterval().covers((1000.0, 0.0)) == (True, True)


def test_an_interval_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(RequestError, match="guidance interval begins at 700 and ends before that, at 100"):
        GuidanceInterval(700, 100)
