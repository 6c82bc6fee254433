"""adaLN: a block whose norms are scaled and shifted, and whose branches are gated, by the time and the label (Peebles & Xie 2022).

Shapes: B batch, T tokens, D width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.execution import Execution, Site
from ditkit.nn.attention import SelfAttention
from ditkit.nn.mlp import MLP


class Modulation(NamedTuple):
    """adaLN's vectors for one branch, each (B, 1, D): x -> x + gate * f(norm(x) * scale + shift), where a layer says scale - 1."""

    shift: Tensor
    scale: Tensor
    gate: Tensor


class Modulations(NamedTuple):
    """All vectors of a network: for each block those of attention and of the MLP; the final layer's shift and scale (B, 1, D)."""

    blocks: list[tuple[Modulation, Modulation]]
    shift: Tensor
    scale: Tensor


def unbound(vectors: Tensor) -> Modulations:
    """Vectors (B, 6 per block + 2, 1, D) in the order they are used, taken apart at the cost of one sum: every third is a scale less 1."""
    shifts, gates = vectors[:, ::3].unbind(1), vectors[:, 2::3].unbind(1)
    scales = (1 + vectors[:, 1::3]).unbind(1)
    branches = [Modulation(*each) for each in zip(shifts, scales, gates, strict=False)]  # the final layer has no gate
    return Modulations(list(zip(branches[::2], branches[1::2], strict=True)), shifts[-1], scales[-1])


def modulate(x_BTD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor, eps: float = 1e-6) -> Tensor:
    """LayerNorm without parameters, then scale and shift per sample."""
    return torch.addcmul(shift_B1D, F.layer_norm(x_BTD, x_BTD.shape[-1:], eps=eps), scale_B1D)


def modulation_layer(width: int, chunks: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), nn.Linear(width, chunks * width))


class ModulatedBlock(nn.Module):
    """Attention and MLP, each modulated before and gated after; the gate stays outside the cached branch."""

    def __init__(self, index: int, attn: SelfAttention, mlp: MLP, *, mlp_norm_eps: float = 1e-6) -> None:
        super().__init__()
        self.sites = (Site(index, "attn"), Site(index, "mlp"))
        self.mlp_norm_eps = mlp_norm_eps
        self.attn = attn
        self.mlp = mlp
        self.adaLN_modulation = modulation_layer(attn.proj.in_features, 6)

    def forward(self, x_BTD: Tensor, to_attn: Modulation, to_mlp: Modulation, execution: Execution) -> Tensor:
        at_attn, at_mlp = self.sites
        attn = execution.branch(at_attn, lambda: self.attn(modulate(x_BTD, to_attn.shift, to_attn.scale), at_attn, execution))
        h_BTD = torch.addcmul(x_BTD, to_attn.gate, attn)
        mlp = execution.branch(at_mlp, lambda: self.mlp(modulate(h_BTD, to_mlp.shift, to_mlp.scale, self.mlp_norm_eps)))
        return torch.addcmul(h_BTD, to_mlp.gate, mlp)


class ModulatedLinear(nn.Module):
    """The final layer: from modulated tokens to the numbers of a patch."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs)
        self.adaLN_modulation = modulation_layer(width, 2)

    def forward(self, x_BTD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor) -> Tensor:
        return self.linear(modulate(x_BTD, shift_B1D, scale_B1D))
