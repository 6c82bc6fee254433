"""DiT: a transformer on latent patches, with time and label entering through adaLN-Zero (Peebles & Xie 2022, arXiv 2212.09748).

Parameter names are those of the published checkpoints.

Shapes: B batch, N any leading shape of conditioning, C channels, H W latent, T tokens, D width.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.execution import PLAIN, Execution, Site
from ditkit.nn.attention import SelfAttention
from ditkit.nn.embed import LabelEmbedding, TimeEmbedding, sincos_positions_2d
from ditkit.nn.mlp import MLP
from ditkit.nn.patch import PatchEmbedding, unpatchify


@dataclass(frozen=True)
class DiTParams:
    """The numbers that make a DiT; `input_size` is the latent's side.

    `compat="diffusers"` reproduces diffusers' two deviations from the published equations.
    """

    width: int
    depth: int
    heads: int
    patch: int
    input_size: int
    channels: int = 4
    classes: int = 1000
    learn_sigma: bool = True
    compat: str = "official"

    @property
    def tokens(self) -> int:
        return (self.input_size // self.patch) ** 2

    @property
    def out_channels(self) -> int:
        return self.channels * (2 if self.learn_sigma else 1)


SIZES: dict[str, dict[str, Any]] = {
    "s": {"width": 384, "depth": 12, "heads": 6},
    "b": {"width": 768, "depth": 12, "heads": 12},
    "l": {"width": 1024, "depth": 24, "heads": 16},
    "xl": {"width": 1152, "depth": 28, "heads": 16},
}


class Modulation(NamedTuple):
    """adaLN's vectors for one branch, each (B, 1, D): x -> x + gate * f(norm(x) * (1 + scale) + shift)."""

    shift: Tensor
    scale: Tensor
    gate: Tensor


def modulate(x_BTD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor, eps: float = 1e-6) -> Tensor:
    """LayerNorm without parameters, then scale and shift per sample."""
    return torch.addcmul(shift_B1D, F.layer_norm(x_BTD, x_BTD.shape[-1:], eps=eps), 1 + scale_B1D)


def modulation_layer(width: int, chunks: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), nn.Linear(width, chunks * width))


class DiTBlock(nn.Module):
    """Attention and MLP, each modulated before and gated after; the gate stays outside the cached branch."""

    def __init__(self, params: DiTParams, index: int) -> None:
        super().__init__()
        self.sites = (Site(index, "attn"), Site(index, "mlp"))
        self.mlp_norm_eps = 1e-5 if params.compat == "diffusers" else 1e-6
        self.attn = SelfAttention(params.width, params.heads, qkv_bias=True)
        self.mlp = MLP(params.width, "tanh")
        self.adaLN_modulation = modulation_layer(params.width, 6)

    def forward(self, x_BTD: Tensor, to_attn: Modulation, to_mlp: Modulation, execution: Execution) -> Tensor:
        at_attn, at_mlp = self.sites
        attn = execution.branch(at_attn, lambda: self.attn(modulate(x_BTD, to_attn.shift, to_attn.scale), at_attn, execution))
        h_BTD = torch.addcmul(x_BTD, to_attn.gate, attn)
        mlp = execution.branch(at_mlp, lambda: self.mlp(modulate(h_BTD, to_mlp.shift, to_mlp.scale, self.mlp_norm_eps)))
        return torch.addcmul(h_BTD, to_mlp.gate, mlp)


class FinalLayer(nn.Module):
    def __init__(self, params: DiTParams) -> None:
        super().__init__()
        self.linear = nn.Linear(params.width, params.patch**2 * params.out_channels)
        self.adaLN_modulation = modulation_layer(params.width, 2)

    def forward(self, x_BTD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor) -> Tensor:
        return self.linear(modulate(x_BTD, shift_B1D, scale_B1D))


class DiT(nn.Module):
    """Predicts (B, 2C, H, W) from a latent (B, C, H, W): noise, then the variance's interpolation coefficient."""

    def __init__(self, params: DiTParams) -> None:
        super().__init__()
        self.params = params
        self.predicts_variance = params.learn_sigma
        denominator = 127 if params.compat == "diffusers" else None
        self.x_embedder = PatchEmbedding(params.channels, params.width, params.patch)
        self.t_embedder = TimeEmbedding(params.width, denominator=denominator)
        self.y_embedder = LabelEmbedding(params.classes, params.width)
        grid = params.input_size // params.patch
        self.pos_embed = nn.Buffer(sincos_positions_2d(params.width, grid, grid))
        self.blocks = nn.ModuleList(DiTBlock(params, index) for index in range(params.depth))
        self.final_layer = FinalLayer(params)
        self.sites = tuple(site for block in self._blocks() for site in block.sites)
        self.reset_parameters()

    def _blocks(self) -> Iterable[DiTBlock]:
        return self.blocks  # pyright: ignore[reportReturnType]

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """adaLN-Zero: every block starts as the identity, and the output as zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.x_embedder.proj.weight.view(self.params.width, -1))
        nn.init.zeros_(self.x_embedder.proj.bias)  # pyright: ignore[reportArgumentType]
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

    def forward(self, x_BCHW: Tensor, conditioning: Tensor, execution: Execution = PLAIN) -> Tensor:
        *vectors, shift, scale = conditioning.unbind(1)
        h_BTD = self.x_embedder(x_BCHW) + self.pos_embed
        for index, block in enumerate(self.blocks):
            of_block = vectors[6 * index : 6 * index + 6]
            h_BTD = block(h_BTD, Modulation(*of_block[:3]), Modulation(*of_block[3:]), execution)
        out = self.final_layer(h_BTD, shift, scale)
        return unpatchify(out, x_BCHW.shape[2] // self.params.patch, self.params.patch, self.params.out_channels)

    def multiply_adds(self) -> dict[Site | str, int]:
        """Per sample; "rest" counts patches and the final layer (conditioning is computed once per request)."""
        tokens = self.params.tokens
        costs: dict[Site | str, int] = {}
        for block in self._blocks():
            costs[block.sites[0]] = block.attn.multiply_adds(tokens)
            costs[block.sites[1]] = block.mlp.multiply_adds(tokens)
        costs["rest"] = self.x_embedder.multiply_adds(tokens) + tokens * self.final_layer.linear.weight.numel()
        return costs
