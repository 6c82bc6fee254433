import pytest
import torch
from torch import Tensor

from ditkit.execution import PLAIN, Execution, Site
from ditkit.nn.attention import SelfAttention
from ditkit.nn.windows import GridAttention, Windows
from tests.closeness import assert_close, summed

SITE = Site(0, "attn")
GRIDS = [(4, 2), (6, 3), (5, 2), (3, 3), (7, 3)]


def attention(grid: int, side: int, *, relative: bool = False) -> GridAttention:
    torch.manual_seed(0)
    made = GridAttention(12, 2, Windows(grid, side), relative=relative).double()
    for name, table in made.named_parameters():
        if "rel_pos" in name:
            torch.nn.init.normal_(table)
    return made


def places(grid: int) -> Tensor:
    """The coordinates (T, 3) of the tokens in their order."""
    return torch.cartesian_prod(*[torch.arange(grid)] * 3)


def masked(plain: GridAttention, x: Tensor, bias: Tensor) -> Tensor:
    """Attention over the whole grid with this added to the logits."""
    whole = SelfAttention(12, 2, qkv_bias=True).double()
    whole.load_state_dict({name: value for name, value in plain.state_dict().items() if "rel_pos" not in name})
    return whole(x, SITE, Execution(attend=lambda site, q, k, v, _: PLAIN.attend(site, q, k, v, bias)))


def roundings(grid: int) -> float:
    """Sums over the width of 12, thrice, and over all tokens."""
    return summed(3 * 12 + grid**3)


@pytest.mark.parametrize(("grid", "side"), GRIDS)
def test_merging_undoes_splitting(grid: int, side: int) -> None:
    windows, x = Windows(grid, side), torch.randn(2, grid**3, 5)
    split = windows.split(x)
    assert split.shape == (2 * windows.count, side**3, 5)
    assert torch.equal(windows.merge(split), x)


@pytest.mark.parametrize(("grid", "side"), GRIDS)
def test_a_window_holds_the_tokens_of_one_cube_in_their_order(grid: int, side: int) -> None:
    windows, where = Windows(grid, side), places(grid)
    split = windows.split(where[None].float() + 1)  # padding is 0
    real = windows.real(split.device)
    assert torch.equal(split[..., 0] > 0, real)
    assert int(real.sum()) == grid**3
    for window, inside in zip(split, real, strict=True):
        cubes = (window[inside] - 1).long() // side
        assert len(cubes.unique(dim=0)) == 1
        assert torch.equal(window[inside], window[inside].unique(dim=0))  # sorted as the grid is: x slowest


@pytest.mark.parametrize(("grid", "side"), GRIDS)
def test_attention_in_windows_is_attention_that_sees_one_cube_only(grid: int, side: int) -> None:
    made, x = attention(grid, side), torch.randn(2, grid**3, 12, dtype=torch.float64)
    cube = places(grid) // side
    together = (cube[:, None] == cube[None]).all(dim=2)
    hidden = torch.zeros(together.shape, dtype=torch.float64).masked_fill(~together, -torch.inf)
    assert_close(made(x, SITE, PLAIN), masked(made, x, hidden), roundings(grid))


@pytest.mark.parametrize(("grid", "side"), [(3, 3), (4, 2), (5, 2)])
def test_relative_positions_are_products_with_three_tables(grid: int, side: int) -> None:
    made, x = attention(grid, side, relative=True), torch.randn(1, grid**3, 12, dtype=torch.float64)
    where = places(grid)
    cube = where // side
    together = (cube[:, None] == cube[None]).all(dim=2)
    q_HTK = made.qkv(x).unflatten(-1, (3, 2, -1))[0, :, 0].transpose(0, 1)
    apart = (where[:, None] - where[None]).clamp(1 - side, side - 1) + side - 1  # beyond is another window, hidden below
    tables = [made.rel_pos_x[apart[..., 0]], made.rel_pos_y[apart[..., 1]], made.rel_pos_z[apart[..., 2]]]
    bias = torch.einsum("htk,tsk->hts", q_HTK, sum(tables)).masked_fill(~together, -torch.inf)
    assert_close(made(x, SITE, PLAIN), masked(made, x, bias), roundings(grid))


def test_fresh_relative_positions_change_nothing() -> None:
    made = GridAttention(12, 2, Windows(4, 2), relative=True)
    plain = GridAttention(12, 2, Windows(4, 2))
    plain.load_state_dict({name: value for name, value in made.state_dict().items() if "rel_pos" not in name})
    x = torch.randn(1, 64, 12)
    assert_close(made(x, SITE, PLAIN), plain(x, SITE, PLAIN), roundings(4))


@pytest.mark.parametrize("relative", [False, True])
def test_padding_has_finite_gradients(relative: bool) -> None:
    made, x = attention(5, 3, relative=relative), torch.randn(1, 125, 12, dtype=torch.float64, requires_grad=True)
    made(x, SITE, PLAIN).square().sum().backward()
    assert all(bool(value.grad.isfinite().all()) for value in (x, *made.parameters()) if value.grad is not None)
    assert x.grad is not None


def test_one_window_without_padding_costs_and_gives_what_plain_attention_does() -> None:
    made, x = attention(3, 3), torch.randn(2, 27, 12, dtype=torch.float64)
    whole = SelfAttention(12, 2, qkv_bias=True).double()
    whole.load_state_dict(made.state_dict())
    assert torch.equal(made(x, SITE, PLAIN), whole(x, SITE, PLAIN))
    assert made.multiply_adds(27) == whole.multiply_adds(27)


def test_windows_save_attention_products_and_padding_costs() -> None:
    plain = SelfAttention(12, 2, qkv_bias=True)
    assert attention(4, 2).multiply_adds(64) == 64 * 4 * 144 + 2 * 64 * 8 * 12
    assert attention(5, 3).multiply_adds(125) == 8 * plain.multiply_adds(27)
    assert attention(4, 2, relative=True).multiply_adds(64) == attention(4, 2).multiply_adds(64) + 3 * 64 * 2 * 12
