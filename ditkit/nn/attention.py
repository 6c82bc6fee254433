"""Multi-head self-attention.

Shapes: B batch, T tokens, D width, H heads, K head width.
"""

from torch import Tensor, nn

from ditkit.execution import Execution, Site


class SelfAttention(nn.Module):
    """qkv -> attention -> projection; rows of `qkv` are laid out [q | k | v], each (heads, head width)."""

    def __init__(self, width: int, heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.q_norm: nn.Module | None = None  # of queries and keys, in a family that has them, per head
        self.k_norm: nn.Module | None = None

    def forward(self, x_BTD: Tensor, site: Site, execution: Execution) -> Tensor:
        q_BHTK, k_BHTK, v_BHTK = self.qkv(x_BTD).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.q_norm is not None and self.k_norm is not None:
            q_BHTK, k_BHTK = self.q_norm(q_BHTK), self.k_norm(k_BHTK)
        out_BHTK = execution.attend(site, q_BHTK, k_BHTK, v_BHTK, self.bias(q_BHTK))
        return self.proj(out_BHTK.transpose(1, 2).flatten(2))

    def bias(self, q_BHTK: Tensor) -> Tensor | None:
        """What is added to the logits, in a shape that broadcasts to (B, H, T, T)."""
        return None

    def multiply_adds(self, tokens: int) -> int:
        """Multiply-adds for one sample of `tokens` tokens, the two attention products included."""
        width = self.proj.in_features
        return tokens * 4 * width * width + 2 * tokens * tokens * width
