"""U-ViT: a transformer whose time, label and patches are all tokens, with long skips (Bao et al. 2022, arXiv 2209.12152).

Parameter names are those of the published checkpoints.

Shapes: B batch, N any leading shape of conditioning, C channels, H W latent, T patch tokens, X extra tokens (time, label), D width.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ditkit.execution import PLAIN, Execution, Site
from ditkit.nn.attention import SelfAttention
from ditkit.nn.embed import sinusoid
from ditkit.nn.mlp import MLP
from ditkit.nn.patch import PatchEmbedding, unpatchify


@dataclass(frozen=True)
class UViTParams:
    """The numbers that make a U-ViT: `depth` (even) counts all blocks but the middle one; `classes` 0 means unconditional.

    `null_class` adds a last row to the label table that means "no class", for guidance.
    """

    width: int
    depth: int
    heads: int
    patch: int
    input_size: int
    channels: int = 4
    classes: int = 0
    null_class: bool = False
    conv: bool = True
    qkv_bias: bool = False
    mlp_time_embed: bool = False
    mlp_ratio: float = 4.0

    @property
    def tokens(self) -> int:
        return (self.input_size // self.patch) ** 2

    @property
    def label_rows(self) -> int:
        return self.classes + self.null_class if self.classes else 0

    @property
    def extras(self) -> int:
        return 2 if self.classes else 1


class UViTBlock(nn.Module):
    """A pre-norm block; with `skip`, the stream is first joined with the one of its mirror block."""

    def __init__(self, params: UViTParams, index: int, *, skip: bool) -> None:
        super().__init__()
        self.sites = (Site(index, "attn"), Site(index, "mlp"))
        self.norm1 = nn.LayerNorm(params.width)
        self.attn = SelfAttention(params.width, params.heads, qkv_bias=params.qkv_bias)
        self.norm2 = nn.LayerNorm(params.width)
        self.mlp = MLP(params.width, "none", params.mlp_ratio)
        self.skip_linear = nn.Linear(2 * params.width, params.width) if skip else None

    def forward(self, x_BTD: Tensor, skip_BTD: Tensor | None, execution: Execution) -> Tensor:
        at_attn, at_mlp = self.sites
        joined_BTD = self._join(x_BTD, skip_BTD)
        h_BTD = joined_BTD + execution.branch(at_attn, lambda: self.attn(self.norm1(joined_BTD), at_attn, execution))
        return h_BTD + execution.branch(at_mlp, lambda: self.mlp(self.norm2(h_BTD)))

    def _join(self, x_BTD: Tensor, skip_BTD: Tensor | None) -> Tensor:
        if self.skip_linear is None or skip_BTD is None:
            return x_BTD
        return self.skip_linear(torch.cat([x_BTD, skip_BTD], dim=-1))


class UViT(nn.Module):
    """Predicts the noise (B, C, H, W) in a latent (B, C, H, W)."""

    def __init__(self, params: UViTParams) -> None:
        super().__init__()
        self.params = params
        self.predicts_variance = False
        half = params.depth // 2
        width = params.width
        self.patch_embed = PatchEmbedding(params.channels, width, params.patch)
        time_mlp = (nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)) if params.mlp_time_embed else ()
        self.time_embed = nn.Sequential(*time_mlp)
        self.label_emb = nn.Embedding(params.label_rows, width) if params.classes else None
        self.pos_embed = nn.Parameter(torch.zeros(1, params.extras + params.tokens, width))
        self.in_blocks = nn.ModuleList(UViTBlock(params, index, skip=False) for index in range(half))
        self.mid_block = UViTBlock(params, half, skip=False)
        self.out_blocks = nn.ModuleList(UViTBlock(params, half + 1 + index, skip=True) for index in range(half))
        self.norm = nn.LayerNorm(width)
        self.decoder_pred = nn.Linear(width, params.patch**2 * params.channels)
        self.final_layer = nn.Conv2d(params.channels, params.channels, 3, padding=1) if params.conv else nn.Identity()
        self.sites = tuple(site for block in self._blocks() for site in block.sites)
        self.reset_parameters()

    def _blocks(self) -> Iterable[UViTBlock]:
        return (*self.in_blocks, self.mid_block, *self.out_blocks)  # pyright: ignore[reportReturnType]

    @torch.no_grad()
    def reset_parameters(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def condition(self, t_N: Tensor, y_N: Tensor) -> Tensor:
        """The extra tokens (N, X, D), label (when there are classes) then time, from times on the scale 0 ... 1000 and labels.

        Times and labels broadcast against each other.
        """
        time = self.time_embed(sinusoid(t_N, self.params.width).to(self.pos_embed.dtype))
        extras = (time,) if self.label_emb is None else torch.broadcast_tensors(self.label_emb(y_N), time)
        return torch.stack(extras, dim=-2)

    def null(self, y_N: Tensor) -> Tensor:
        return torch.full_like(y_N, self.params.classes)

    def forward(self, x_BCHW: Tensor, conditioning: Tensor, execution: Execution = PLAIN) -> Tensor:
        h_BTD = torch.cat([conditioning, self.patch_embed(x_BCHW)], dim=1) + self.pos_embed
        skips: list[Tensor] = []
        for block in self.in_blocks:
            h_BTD = block(h_BTD, None, execution)
            skips.append(h_BTD)
        h_BTD = self.mid_block(h_BTD, None, execution)
        for block in self.out_blocks:
            h_BTD = block(h_BTD, skips.pop(), execution)
        out_BTF = self.decoder_pred(self.norm(h_BTD))[:, self.params.extras :]
        return self.final_layer(unpatchify(out_BTF, x_BCHW.shape[2] // self.params.patch, self.params.patch, self.params.channels))

    def multiply_adds(self) -> dict[Site | str, int]:
        """Per sample; "rest" counts patches, long skips and the decoder."""
        tokens = self.params.tokens + self.params.extras
        costs: dict[Site | str, int] = {}
        for block in self._blocks():
            costs[block.sites[0]] = block.attn.multiply_adds(tokens)
            costs[block.sites[1]] = block.mlp.multiply_adds(tokens)
        skips = tokens * 2 * self.params.width**2 * len(self.out_blocks)
        costs["rest"] = self.patch_embed.multiply_adds(self.params.tokens) + skips + tokens * self.decoder_pred.weight.numel()
        return costs
