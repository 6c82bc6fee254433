"""The one seam between a model and whoever runs it: whether a branch is computed now, and how attention is evaluated.

Shapes: B batch, H heads, T query tokens, S key tokens, K head width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Site(NamedTuple):
    """One residual branch of one block, e.g. `Site(3, "attn")`; blocks are numbered in the order they run."""

    block: int
    branch: str

    def __str__(self) -> str:
        return f"{self.block}.{self.branch}"


NOISE_TIME = 1000.0
"""Model time where a sample is noise alone; it is 0 where a sample is clean. Plans store it, and every network is told it: what a family
was trained with it makes of it by itself."""

Sites = tuple[Site, ...]
Branch = Callable[[Site, Callable[[], Tensor]], Tensor]
Attend = Callable[[Site, Tensor, Tensor, Tensor, Tensor | None], Tensor]


def compute_branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
    """Compute the branch: what a model does when nobody caches."""
    return compute()


def attention(site: Site, q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(K) + bias) v: fused, but for gradients in bfloat16 on a CPU, whose fused backward pass is the slower one."""
    if q_BHTK.requires_grad and q_BHTK.dtype == torch.bfloat16 and q_BHTK.device.type == "cpu" and torch.is_grad_enabled():
        logits = (q_BHTK * q_BHTK.shape[-1] ** -0.5) @ k_BHSK.mT
        return (logits if bias is None else logits + bias).softmax(-1) @ v_BHSK
    return F.scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSK, attn_mask=bias)


@dataclass(frozen=True)
class Execution:
    """How to run one evaluation of a network.

    `branch(site, compute)` returns the branch's output, calling `compute` at most once and before it returns;
    `attend(site, q, k, v, bias)` evaluates attention and may keep the probabilities.
    """

    branch: Branch = compute_branch
    attend: Attend = attention


PLAIN = Execution()
