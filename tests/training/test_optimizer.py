"""Muon: orthogonal steps, which parameters they move, and their size."""

import pytest
import torch
from torch import nn

from ditkit.training import optimizer
from ditkit.training.optimizer import LIKE_ADAMW, Muon, block_matrices, build_optimizers, orthogonal
from tests.closeness import assert_close, near, summed


@pytest.mark.parametrize("shape", [(2, 24, 24), (1, 8, 40), (3, 40, 8)])
def test_the_direction_has_the_singular_vectors_of_the_gradient_and_values_near_one(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction = orthogonal(x)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    inside = u.mT @ direction @ vh.mT
    values = torch.diagonal(inside, dim1=-2, dim2=-1)
    assert ((values > 0.5) & (values < 1.3)).all()
    assert_close(inside, torch.diag_embed(values), summed(5 * 3 * 40), size=1.3)  # nothing between different vectors


def test_the_way_over_the_gram_matrix_ends_where_the_other_does_in_float32_too() -> None:
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.linalg.qr(torch.randn(3, rows, 16, generator=generator)).Q for rows in (16, 64))
    x = (u * torch.logspace(0, -3, 16)) @ v.mT
    exact = optimizer._step_by_step(x.double() / x.double().norm(dim=(-2, -1), keepdim=True))
    assert_close(orthogonal(x), exact.float(), summed(5 * 3 * 64) / 1e-3)  # the smallest singular value is a thousandth of the largest


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 6)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6)) for _ in range(2))


def test_muon_moves_the_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    module = Blocks()
    adamw, muon = build_optimizers(module, "muon", 0.1, (0.9, 0.99), 0.0)
    inner = [parameter for group in muon.param_groups for parameter in group["params"]]
    outer = [parameter for group in adamw.param_groups for parameter in group["params"]]
    assert [id(parameter) for parameter in inner] == [id(parameter) for parameter in block_matrices(module)]
    assert [tuple(parameter.shape) for parameter in inner] == [(6, 6), (6, 6)]
    assert {id(parameter) for parameter in inner + outer} == {id(parameter) for parameter in module.parameters()}
    assert len(inner) + len(outer) == len(list(module.parameters()))
    (alone,) = build_optimizers(module, "adamw", 0.1, (0.9, 0.99), 0.0)
    assert isinstance(alone, torch.optim.AdamW)


def test_a_step_has_about_the_size_of_adamws() -> None:
    weight = nn.Parameter(torch.zeros(32, 64))
    weight.grad = torch.randn(32, 64, generator=torch.Generator().manual_seed(0)) * 1e-4  # its scale does not matter
    Muon([weight], 0.01).step()
    assert float(weight.detach().square().mean().sqrt()) == near(0.01 * LIKE_ADAMW, within=0.0015 * LIKE_ADAMW)
