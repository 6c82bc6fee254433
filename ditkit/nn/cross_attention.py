"""Attention from the picture's tokens to a prompt's.

Shapes: B batch, N any leading shape, T patch tokens, L prompt tokens, D width, H heads, K head width.
"""

from torch import Tensor, nn

from ditkit.execution import Execution, Site


class CrossAttention(nn.Module):
    """Queries from the picture's tokens, keys and values from the prompt's; rows of `kv_linear` are laid out [k | v]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_linear = nn.Linear(width, width)
        self.kv_linear = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def keys_and_values(self, y_NLD: Tensor) -> Tensor:
        """Both in one tensor (N, 2, H, L, K)."""
        return self.kv_linear(y_NLD).unflatten(-1, (2, self.heads, -1)).movedim(-4, -2)

    def forward(self, x_BTD: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, bias_B11L: Tensor, site: Site, execution: Execution) -> Tensor:
        q_BHTK = self.q_linear(x_BTD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        out_BHTK = execution.attend(site, q_BHTK, k_BHLK, v_BHLK, bias_B11L)
        return self.proj(out_BHTK.transpose(1, 2).flatten(2))

    def multiply_adds(self, tokens: int, prompt_tokens: int) -> int:
        """Multiply-adds for one sample of `tokens` tokens; the prompt's keys and values are made once per request."""
        width = self.proj.in_features
        return tokens * 2 * width * width + 2 * tokens * prompt_tokens * width
