"""Between pictures or voxel grids and patch tokens.

Shapes: B batch, C channels, H W picture, X Y Z grid, T tokens (row-major), D width, P patch side.
"""

from typing import Literal

from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """A linear map of every P x P patch (P x P x P in 3 dimensions), as a strided convolution."""

    def __init__(self, channels: int, width: int, patch: int, dimensions: Literal[2, 3] = 2) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.proj = convolution(channels, width, kernel_size=patch, stride=patch)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.proj(x_BCHW).flatten(2).transpose(1, 2)

    def multiply_adds(self, tokens: int) -> int:
        return tokens * self.proj.weight.numel()


def placed(x_BTD: Tensor, positions_1TD: Tensor) -> Tensor:
    """Tokens with their places added, one token after another in memory.

    What a convolution makes lies across, feature by feature, and a sum lies as its first term does. The order of this one decides how all
    that follows lies in memory, for every residual sum takes after the tokens.
    """
    return positions_1TD + x_BTD


def unpatchify(x_BTF: Tensor, rows: int, patch: int, channels: int) -> Tensor:
    """Tokens with features (P row, P column, C), channel fastest, back to (B, C, H, W)."""
    grid = x_BTF.unflatten(1, (rows, -1)).unflatten(-1, (patch, patch, channels))
    return grid.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def unpatchify_3d(x_BTF: Tensor, side: int, patch: int, channels: int) -> Tensor:
    """Tokens of a cube with features (P x, P y, P z, C), channel fastest, back to (B, C, X, Y, Z)."""
    grid = x_BTF.unflatten(1, (side, side, side)).unflatten(-1, (patch, patch, patch, channels))
    return grid.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
