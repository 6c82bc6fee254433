"""Attention on a cube of tokens, over all of it or inside windows (the cubes of DiT-3D, in the manner of ViTDet, arXiv 2203.16527).

Shapes: B batch, T tokens of the grid (x slowest), W windows, S tokens of a window, D width, H heads, K head width, j a key's place
along an axis.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.execution import Execution, Site
from ditkit.nn.attention import SelfAttention


@dataclass(frozen=True)
class Windows:
    """A grid of `grid`^3 tokens cut into cubes of `side`^3, padded at its far ends where they do not divide it."""

    grid: int
    side: int

    @property
    def per_axis(self) -> int:
        return -(-self.grid // self.side)

    @property
    def count(self) -> int:
        return self.per_axis**3

    @property
    def padding(self) -> int:
        """Rows of zeros after the last real one, along each axis."""
        return self.per_axis * self.side - self.grid

    def split(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) -> (B * W, S, D): the windows of a sample stay together, in the order of the grid."""
        cube = x_BTD.unflatten(1, (self.grid,) * 3)
        padded = F.pad(cube, (0, 0) + (0, self.padding) * 3) if self.padding else cube
        cut = padded.reshape(len(x_BTD), *(self.per_axis, self.side) * 3, x_BTD.shape[-1])
        return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, self.side**3, x_BTD.shape[-1])

    def merge(self, x_VSD: Tensor) -> Tensor:
        """The inverse of `split`; what the padding holds is dropped."""
        cut = x_VSD.reshape(-1, *(self.per_axis,) * 3, *(self.side,) * 3, x_VSD.shape[-1])
        padded = cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(len(cut), *(self.per_axis * self.side,) * 3, -1)
        return padded[:, : self.grid, : self.grid, : self.grid].flatten(1, 3)

    def real(self, device: torch.device) -> Tensor:
        """Which tokens of each window (W, S) are not padding."""
        ones = torch.ones(1, self.grid**3, 1, dtype=torch.bool, device=device)
        return self.split(ones)[..., 0]


class GridAttention(SelfAttention):
    """Self-attention of the tokens in each window; a window as large as the grid is attention over everything.

    With `relative`, the logits gain q . (Rx[xq - xk] + Ry[yq - yk] + Rz[zq - zk]), q unscaled, from tables that all heads share.
    """

    def __init__(self, width: int, heads: int, windows: Windows, *, relative: bool = False) -> None:
        super().__init__(width, heads, qkv_bias=True)
        self.windows = windows
        self.relative = relative
        if relative:
            tables = torch.zeros(3, 2 * windows.side - 1, width // heads)
            self.rel_pos_x, self.rel_pos_y, self.rel_pos_z = (nn.Parameter(table.clone()) for table in tables)

    def forward(self, x_BTD: Tensor, site: Site, execution: Execution) -> Tensor:
        return self.windows.merge(super().forward(self.windows.split(x_BTD), site, execution))

    def bias(self, q_BHTK: Tensor) -> Tensor | None:
        """Relative positions, and -inf for keys that are padding; here B counts windows and T the tokens of one."""
        positions = self._relative_positions(q_BHTK) if self.relative else None
        if not self.windows.padding:
            return positions
        if positions is None:
            positions = q_BHTK.new_zeros(len(q_BHTK), 1, 1, q_BHTK.shape[2])
        real_WS = self.windows.real(q_BHTK.device)
        per_sample = positions.unflatten(0, (-1, self.windows.count))
        return per_sample.masked_fill(~real_WS[:, None, None], -torch.inf).flatten(0, 1)

    def _relative_positions(self, q_BHTK: Tensor) -> Tensor:
        side = self.windows.side
        q = q_BHTK.unflatten(2, (side, side, side))
        # row i, column j of a table's view is its entry i - j + side - 1
        x, y, z = (table.unfold(0, side, 1).flip(2) for table in (self.rel_pos_x, self.rel_pos_y, self.rel_pos_z))
        along_x = torch.einsum("bhxyzk,xkj->bhxyzj", q, x)[..., :, None, None]
        along_y = torch.einsum("bhxyzk,ykj->bhxyzj", q, y)[..., None, :, None]
        along_z = torch.einsum("bhxyzk,zkj->bhxyzj", q, z)[..., None, None, :]
        return (along_x + along_y + along_z).flatten(5).flatten(2, 4)

    def multiply_adds(self, tokens: int) -> int:
        """Multiply-adds for one sample of `tokens` tokens, padding included."""
        inside = self.windows.side**3
        positions = 3 * inside * self.windows.side * self.proj.in_features if self.relative else 0
        return self.windows.count * (super().multiply_adds(inside) + positions)
