from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from ditkit.diffusion.level import Level
from ditkit.diffusion.limit import Limit
from ditkit.diffusion.prediction import Reading
from tests.closeness import assert_close

X = 2 * torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))


def test_clipped_samples_stay_within_the_range() -> None:
    assert torch.equal(Limit(1.5).keep(X), X.clamp(-1.5, 1.5))


@pytest.mark.parametrize(("most", "share"), [(1.0, 0.995), (2.5, 0.9), (10.0, 0.995), (10.0, 0.1), (0.5, 0.9)])
def test_dynamic_thresholds_are_those_of_diffusers_for_each_sample(most: float, share: float) -> None:
    scheduler: Any = DDIMScheduler(thresholding=True, sample_max_value=most, dynamic_thresholding_ratio=share)
    assert_close(Limit(most, share).keep(X), scheduler._threshold_sample(X))


def test_only_clean_samples_are_limited_and_the_noise_stays_the_networks() -> None:
    level = Level.of_abar(0.3)
    free, limited = Reading().of(X), Reading(limit=Limit(0.5)).of(X)
    noisy = X.flip(0)
    assert torch.equal(limited.to_x0(noisy, level), free.to_x0(noisy, level).clamp(-0.5, 0.5))
    assert torch.equal(limited.to_epsilon(noisy, level), free.to_epsilon(noisy, level))
