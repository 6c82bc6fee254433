"""What DiT and DiT-3D have in common: blocks steered by time and label through adaLN-Zero (Peebles & Xie 2022, arXiv 2212.09748).

Shapes: B batch, N any leading shape of conditioning, T tokens, D width.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.execution import Execution, Site
from ditkit.nn.embed import LabelEmbedding, TimeEmbedding
from ditkit.nn.modulation import ModulatedBlock, ModulatedLinear, unbound
from ditkit.nn.patch import PatchEmbedding


class AdaLNTransformer(nn.Module):
    """Everything but how a sample becomes tokens and tokens become a prediction; a family sets the parts in its own order."""

    params: Any
    x_embedder: PatchEmbedding
    t_embedder: TimeEmbedding
    y_embedder: LabelEmbedding
    blocks: nn.ModuleList
    final_layer: ModulatedLinear

    def _blocks(self) -> Iterable[ModulatedBlock]:
        return self.blocks  # pyright: ignore[reportReturnType]

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """adaLN-Zero: every block starts as the identity, and the output as zero. The patches' bias stays as torch draws it."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.x_embedder.proj.weight.view(self.params.width, -1))
        nn.init.normal_(self.y_embedder.embedding_table.weight, std=0.02)
        for layer in (self.t_embedder.mlp[0], self.t_embedder.mlp[2]):
            nn.init.normal_(layer.weight, std=0.02)  # pyright: ignore[reportArgumentType]
        zeroed = [owner.adaLN_modulation[1] for owner in (*self._blocks(), self.final_layer)]
        for layer in (*zeroed, self.final_layer.linear):
            nn.init.zeros_(layer.weight)  # pyright: ignore[reportArgumentType]

    def condition(self, t_N: Tensor, y_N: Tensor) -> Tensor:
        """All adaLN vectors (N, 6 per block + 2, 1, D), from timesteps (0 ... 999, any float) and labels that broadcast against them.

        In the order they are used: per block shift, scale and gate of attention, then of the MLP; last the final layer's shift and scale.
        """
        c_ND = F.silu(self.t_embedder(t_N) + self.y_embedder(y_N))
        layers = [owner.adaLN_modulation[1] for owner in (*self._blocks(), self.final_layer)]
        return torch.cat([layer(c_ND) for layer in layers], dim=-1).unflatten(-1, (-1, 1, self.params.width))

    def null(self, y_N: Tensor) -> Tensor:
        return torch.full_like(y_N, self.params.classes)

    def denoise(self, x_BTD: Tensor, conditioning: Tensor, execution: Execution) -> Tensor:
        """The blocks and the final layer: embedded tokens to patches of the prediction."""
        vectors = unbound(conditioning)
        h_BTD = x_BTD
        for block, (to_attn, to_mlp) in zip(self.blocks, vectors.blocks, strict=True):
            h_BTD = block(h_BTD, to_attn, to_mlp, execution)
        return self.final_layer(h_BTD, vectors.shift, vectors.scale)

    def multiply_adds(self) -> dict[Site | str, int]:
        """Per sample; "rest" counts patches and the final layer (conditioning is computed once per request)."""
        tokens = self.params.tokens
        costs: dict[Site | str, int] = {}
        for block in self._blocks():
            costs[block.sites[0]] = block.attn.multiply_adds(tokens)
            costs[block.sites[1]] = block.mlp.multiply_adds(tokens)
        costs["rest"] = self.x_embedder.multiply_adds(tokens) + tokens * self.final_layer.linear.weight.numel()
        return costs
