"""The training loss against what it must be for perfect and for known predictions."""

import math

import torch
from torch import Tensor

from ditkit.diffusion.schedule import linear
from ditkit.training.objective import DenoisingObjective
from tests.closeness import assert_close, near, spread, summed

OBJECTIVE = DenoisingObjective(linear())


def of_noise(objective: DenoisingObjective, out: Tensor, noise: Tensor, index: Tensor) -> Tensor:
    """The loss of each sample, whatever was noised."""
    return objective.loss(out, torch.zeros_like(noise), noise, index)[0]


def test_noisy_samples_keep_unit_variance() -> None:
    index = torch.arange(0, 1000, 100)
    x0, noise = torch.randn(2, 10, 4, 50, 50).unbind(0)
    assert OBJECTIVE.noisy(x0, noise, index).var(dim=(1, 2, 3)).sub(1).abs().max() < 2**0.5 * spread(4 * 50 * 50)


def test_a_perfect_prediction_costs_nothing() -> None:
    noise = torch.randn(6, 4, 8, 8)
    index = torch.tensor([1, 5, 50, 500, 900, 999])
    assert torch.equal(of_noise(OBJECTIVE, noise, noise, index), torch.zeros(6))
    smallest = torch.cat([noise, -torch.ones_like(noise)], 1)  # the posterior's own variance: no divergence either
    assert_close(of_noise(OBJECTIVE, smallest, noise, index), torch.zeros(6), summed(4 * 8 * 8), size=10)  # of logarithms of variances


def test_the_variance_bound_is_the_divergence_of_two_gaussians() -> None:
    """For a perfect mean and the largest variance: 0.5 (log(b/s) + s/b - 1) nats a dimension, in bits."""
    noise = torch.randn(1, 4, 8, 8)
    tables = linear().respaced("")
    large, small = tables.betas[300], tables.posterior_variance[300]
    expected = 0.5 * (math.log(large / small) + small / large - 1) / math.log(2)
    out = torch.cat([noise, torch.ones_like(noise)], 1)
    assert of_noise(OBJECTIVE, out, noise, torch.tensor([300])).item() == near(expected, dtype=torch.float32, size=10)  # of logarithms


def test_the_bound_teaches_the_variance_and_not_the_mean() -> None:
    torch.manual_seed(0)
    noise = torch.randn(2, 4, 8, 8)
    out = torch.randn(2, 8, 8, 8, requires_grad=True)
    of_noise(OBJECTIVE, out, noise, torch.tensor([10, 600])).sum().backward()
    assert out.grad is not None
    mean_only = 2 * (out.detach()[:, :4] - noise) / noise[0].numel()
    assert_close(out.grad[:, :4], mean_only)
    assert out.grad[:, 4:].abs().min() > 0


def test_without_a_learned_variance_the_loss_is_the_mean_squared_error() -> None:
    noise, out = torch.randn(2, 3, 4, 8, 8).unbind(0)
    assert_close(of_noise(OBJECTIVE, out, noise, torch.tensor([0, 1, 2])), (out - noise).square().mean(dim=(1, 2, 3)), summed(4 * 8 * 8))


def test_networks_that_count_from_one_are_told_so() -> None:
    shifted = DenoisingObjective(linear(first_time=1))
    assert shifted.times(torch.tensor([0, 999])).tolist() == [1, 1000]


def test_min_snr_weighs_nearly_clean_levels_down_and_no_others() -> None:
    weighted = DenoisingObjective(linear(), min_snr=5.0)
    index = torch.tensor([10, 900])
    noise, out = torch.randn(2, 2, 4, 8, 8).unbind(0)
    abar = linear().abar[10]
    expected = of_noise(OBJECTIVE, out, noise, index) * torch.tensor([5 * (1 - abar) / abar, 1.0])
    assert_close(of_noise(weighted, out, noise, index), expected.float())


def test_noisy_levels_count_more_up_to_a_bound() -> None:
    weighted = DenoisingObjective(linear(), noisy_weight=10.0)
    index = torch.tensor([0, 300, 999])
    noise, out = torch.randn(2, 3, 4, 8, 8).unbind(0)
    expected = of_noise(OBJECTIVE, out, noise, index) * torch.tensor([1 / linear().abar[0], 1 / linear().abar[300], 10.0])
    assert_close(of_noise(weighted, out, noise, index), expected.float())


def test_even_levels_are_all_drawn_alike_and_none_above_the_start() -> None:
    shares = (torch.arange(4000) + 0.5) / 4000
    assert torch.equal(OBJECTIVE.draw(shares), torch.arange(1000).repeat_interleave(4))
    low = DenoisingObjective(linear(), start=0.25)
    assert torch.equal(low.draw(shares), torch.arange(250).repeat_interleave(16))
    assert int(low.draw(torch.tensor([1 - 2.0**-24]))) == 249


def test_levels_drawn_by_weight_have_the_loss_of_weighted_ones_in_the_mean() -> None:
    """The mean over all draws of the unweighted losses, times one factor, is the mean over all levels of the weighted ones."""
    weighted, drawn = (DenoisingObjective(linear(), min_snr=5.0, noisy_weight=4.0, start=0.7, by_weight=flag) for flag in (False, True))
    noise, out = torch.randn(2, 700, 4, 2, 2, generator=torch.Generator().manual_seed(0)).unbind(0)
    every = torch.arange(700)
    expected = of_noise(weighted, out, noise, every).mean()
    levels = drawn.draw((torch.arange(200_000) + 0.5) / 200_000)
    often = torch.bincount(levels, minlength=700) / 200_000
    assert float((often * of_noise(drawn, out, noise, every)).sum()) == near(float(expected), within=float(expected) * 700 / 200_000)
