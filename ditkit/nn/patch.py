"""Between pictures and patch tokens.

Shapes: B batch, C channels, H W picture, T tokens (row-major), D width, P patch side.
"""

from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """A linear map of every P x P patch, as a strided convolution."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.proj(x_BCHW).flatten(2).transpose(1, 2)

    def multiply_adds(self, tokens: int) -> int:
        return tokens * self.proj.weight.numel()


def unpatchify(x_BTF: Tensor, rows: int, patch: int, channels: int) -> Tensor:
    """Tokens with features (P row, P column, C), channel fastest, back to (B, C, H, W)."""
    grid = x_BTF.unflatten(1, (rows, -1)).unflatten(-1, (patch, patch, channels))
    return grid.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
