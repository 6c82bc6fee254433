"""Attention is one function with one gradient, whichever way it is computed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ditkit import execution
from ditkit.execution import Site, attention
from tests.closeness import assert_close, summed

SITE = Site(0, "self")
WAYS = [None, torch.tensor([[0.0, 0.0, -10000.0, 0.0, -10000.0]])]


def _learned(attend: Callable[..., Tensor], bias: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
    """What attention makes of seeded numbers, and the gradients of q, k and v."""
    generator = torch.Generator().manual_seed(0)
    q, k, v, towards = (torch.randn(2, 3, length, 8, generator=generator).bfloat16().to(dtype) for length in (6, 5, 5, 6))
    out = attend(SITE, q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), bias if bias is None else bias.to(dtype))
    out.backward(towards)
    return [out.detach(), *(value.grad for value in (q, k, v) if value.grad is not None)]


@pytest.mark.parametrize("bias", WAYS)
def test_learning_in_bfloat16_has_the_gradients_of_the_exact_function_up_to_rounding(bias: Tensor | None) -> None:
    """On the way to a gradient lie six roundings: of the scaled queries, logits, probabilities, and the gradients of these."""
    exact = _learned(attention, bias, torch.float64)
    for rough, fine in zip(_learned(attention, bias, torch.bfloat16), exact, strict=True):
        assert_close(rough, fine, summed(6))


def test_only_what_is_learned_in_bfloat16_on_a_cpu_does_without_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    fused: list[torch.dtype] = []

    def remember(q: Tensor, *rest: Tensor, attn_mask: Tensor | None) -> Tensor:
        fused.append(q.dtype)
        return q

    monkeypatch.setattr(execution.F, "scaled_dot_product_attention", remember)
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(1, 1, 4, 8, dtype=dtype)
        attention(SITE, x, x, x)
        attention(SITE, x.requires_grad_(), x, x)
        with torch.no_grad():
            attention(SITE, x, x, x)
    assert fused == [torch.float32] * 3 + [torch.bfloat16] * 2
