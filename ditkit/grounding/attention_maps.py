"""Where in the picture a network looks for a phrase: the probabilities of its cross-attention, kept as they are computed.

Shapes: B batch, P phrases, C channels, h w latent, H heads, T patch tokens, L prompt tokens, K head width, r c token grid.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ditkit.execution import Execution, Site, attention
from ditkit.models.pixart import PixArt
from ditkit.models.prompts import PixArtConditioning


def phrase_columns(tokens: Sequence[Sequence[int]], length: int) -> Tensor:
    """float32 (L, P), 1 where a token of the prompt belongs to a phrase."""
    columns = torch.zeros(length, len(tokens))
    for phrase, places in enumerate(tokens):
        columns[list(places), phrase] = 1
    return columns


def attention_maps(
    network: PixArt, x_BChw: Tensor, conditioning: PixArtConditioning, columns_LP: Tensor, blocks: int, *, recompute: bool = False
) -> Tensor:
    """How much each place attends to each phrase, float32 (B, P, r, c): summed over its tokens, the mean over heads and `blocks` blocks.

    The blocks are the first ones; nothing behind the last map is computed. `recompute` trades memory for time: self-attention and
    MLP keep their inputs only and are computed again for the gradient.
    """
    last = network.blocks[blocks - 1].sites[1]  # pyright: ignore[reportIndexIssue]
    behind = set(network.sites[network.sites.index(last) + 1 :])
    nothing = x_BChw.new_zeros(())
    found: list[Tensor] = []

    def attend(site: Site, q_BHTK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, bias: Tensor | None) -> Tensor:
        if site.branch != "cross":
            return attention(site, q_BHTK, k_BHLK, v_BHLK, bias)
        logits_BHTL = q_BHTK @ (k_BHLK * k_BHLK.shape[-1] ** -0.5).transpose(-1, -2)
        probabilities_BHTL = (logits_BHTL if bias is None else logits_BHTL + bias).softmax(-1, dtype=torch.float32)
        found.append(probabilities_BHTL.mean(1) @ columns_LP)
        return q_BHTK.detach() if site == last else probabilities_BHTL.to(v_BHLK.dtype) @ v_BHLK  # nobody reads what the last one adds

    def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        if site in behind:
            return nothing
        if recompute and site.branch != "cross":
            return checkpoint(compute, use_reentrant=False)  # pyright: ignore[reportReturnType]
        return compute()

    network(x_BChw, conditioning, Execution(branch, attend))
    rows = x_BChw.shape[2] // network.params.patch
    return (sum(found[1:], found[0]) / len(found)).transpose(1, 2).unflatten(-1, (rows, -1))
