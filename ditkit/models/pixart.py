"""PixArt-alpha: a DiT that reads a prompt, with one adaLN for all blocks and cross-attention in each (Chen et al. 2023, arXiv 2310.00426).

Parameter names are those of the published checkpoints. Everything the prompt alone decides, the keys and values of every block
included, is computed by `prepare`, once per request.

Shapes: B batch, N any leading shape of conditioning, C channels, h w latent, T patch tokens, L prompt tokens, F prompt features,
M blocks, D width, H heads, K head width.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.errors import ConfigError
from ditkit.execution import PLAIN, Execution, Site
from ditkit.models.prompts import PixArtConditioning, PromptKeys, Prompts
from ditkit.nn.attention import SelfAttention
from ditkit.nn.cross_attention import CrossAttention
from ditkit.nn.embed import CaptionProjection, TimeEmbedding, stretched_positions_2d
from ditkit.nn.mlp import MLP
from ditkit.nn.modulation import Modulation, modulate, modulation_layer, unbound
from ditkit.nn.patch import PatchEmbedding, placed, unpatchify

MASKED = -10000.0  # added to the logit of a token that does not count; finite, so that a prompt without any stays a number


@dataclass(frozen=True)
class PixArtParams:
    """The numbers that make a PixArt; `input_size` is the side of the square latents it was first trained on. Any other shape runs too.

    `interpolation` divides the positions (2 for 1024 pixels, which was grown from 512); `micro_conditions`: it is told the picture's
    size and aspect ratio; `caption_width` and `caption_tokens` are the text encoder's.
    """

    width: int
    depth: int
    heads: int
    patch: int
    input_size: int
    channels: int = 4
    caption_width: int = 4096
    caption_tokens: int = 120
    micro_conditions: bool = False
    interpolation: float = 1.0
    learn_sigma: bool = True
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        multiple = 12 if self.micro_conditions else 4
        if self.width % multiple or self.width % self.heads:
            raise ConfigError(f"a PixArt's width is a multiple of {multiple} and of its {self.heads} heads, not {self.width}")

    @property
    def grid(self) -> int:
        """Tokens along a side of `input_size`."""
        return self.input_size // self.patch

    @property
    def tokens(self) -> int:
        return self.grid**2

    @property
    def out_channels(self) -> int:
        return self.channels * (2 if self.learn_sigma else 1)

    @property
    def classes(self) -> int:
        """None: it is asked in words."""
        return 0


SIZES: dict[str, dict[str, Any]] = {"xl": {"width": 1152, "depth": 28, "heads": 16}}


class PixArtBlock(nn.Module):
    """Self-attention and MLP modulated and gated, and between them cross-attention with neither norm nor gate.

    `scale_shift_table` is the block's own share of adaLN's six vectors.
    """

    def __init__(self, params: PixArtParams, index: int) -> None:
        super().__init__()
        self.sites = (Site(index, "self"), Site(index, "cross"), Site(index, "mlp"))
        self.attn = SelfAttention(params.width, params.heads, qkv_bias=True)
        self.cross_attn = CrossAttention(params.width, params.heads)
        self.mlp = MLP(params.width, "tanh", params.mlp_ratio)
        self.scale_shift_table = nn.Parameter(torch.empty(6, params.width))

    def forward(
        self, x_BTD: Tensor, to_attn: Modulation, to_mlp: Modulation, prompt: tuple[Tensor, Tensor, Tensor], execution: Execution
    ) -> Tensor:
        at_self, at_cross, at_mlp = self.sites
        attn = execution.branch(at_self, lambda: self.attn(modulate(x_BTD, to_attn.shift, to_attn.scale), at_self, execution))
        h_BTD = torch.addcmul(x_BTD, to_attn.gate, attn)
        cross = execution.branch(at_cross, lambda: self.cross_attn(h_BTD, *prompt, at_cross, execution))
        g_BTD = h_BTD + cross
        mlp = execution.branch(at_mlp, lambda: self.mlp(modulate(g_BTD, to_mlp.shift, to_mlp.scale)))
        return torch.addcmul(g_BTD, to_mlp.gate, mlp)


class FinalLayer(nn.Module):
    def __init__(self, params: PixArtParams) -> None:
        super().__init__()
        self.linear = nn.Linear(params.width, params.patch**2 * params.out_channels)
        self.scale_shift_table = nn.Parameter(torch.empty(2, params.width))

    def forward(self, x_BTD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor) -> Tensor:
        return self.linear(modulate(x_BTD, shift_B1D, scale_B1D))


class PixArt(nn.Module):
    """Predicts (B, 2C, h, w) from a latent (B, C, h, w) of any shape: noise, then the variance's interpolation coefficient."""

    def __init__(self, params: PixArtParams) -> None:
        super().__init__()
        self.params = params
        self.predicts_variance = params.learn_sigma
        self.x_embedder = PatchEmbedding(params.channels, params.width, params.patch)
        self.t_embedder = TimeEmbedding(params.width)
        self.t_block = modulation_layer(params.width, 6)
        self.y_embedder = nn.ModuleDict({"y_proj": CaptionProjection(params.caption_width, params.width)})
        if params.micro_conditions:
            self.csize_embedder = TimeEmbedding(params.width // 3)
            self.ar_embedder = TimeEmbedding(params.width // 3)
        self.pos_embed = nn.Buffer(position_table(params))
        self.blocks = nn.ModuleList(PixArtBlock(params, index) for index in range(params.depth))
        self.final_layer = FinalLayer(params)
        self.sites = tuple(site for block in self._blocks() for site in block.sites)
        self._positions: dict[tuple[int, int, torch.device, torch.dtype], Tensor] = {}
        self.reset_parameters()

    def _blocks(self) -> Iterable[PixArtBlock]:
        return self.blocks  # pyright: ignore[reportReturnType]

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """As DiT, with small random tables; cross-attention starts as adding nothing, and the output as zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.x_embedder.proj.weight.view(self.params.width, -1))
        nn.init.zeros_(self.x_embedder.proj.bias)  # pyright: ignore[reportArgumentType]
        for layer in self.y_embedder["y_proj"].children():  # published: 0.02, which is this for the large text encoder only
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)  # pyright: ignore[reportArgumentType, reportOperatorIssue]
        embedders = [module for module in self.modules() if isinstance(module, TimeEmbedding)]
        for owner in (*embedders, self.t_block):
            for layer in owner.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=0.02)
        for owner in (*self._blocks(), self.final_layer):
            nn.init.normal_(owner.scale_shift_table, std=self.params.width**-0.5)
        for layer in (*(block.cross_attn.proj for block in self._blocks()), self.final_layer.linear):
            nn.init.zeros_(layer.weight)

    def prepare(self, prompts: Prompts) -> PromptKeys:
        """All that the prompts alone decide: once per request, whatever its steps."""
        y_NLD = self.y_embedder["y_proj"](prompts.features)
        keys, values = torch.stack([block.cross_attn.keys_and_values(y_NLD) for block in self._blocks()], dim=-5).unbind(-4)
        bias = (1 - prompts.mask.to(keys.dtype)) * MASKED
        return PromptKeys(keys, values, bias[..., None, None, :], self._size(prompts.sizes))

    def _size(self, sizes_N3: Tensor | None) -> Tensor | None:
        if not self.params.micro_conditions:
            return None
        assert sizes_N3 is not None, "a network with micro-conditions needs the pictures' sizes"
        return torch.cat([self.csize_embedder(sizes_N3[..., :2]).flatten(-2), self.ar_embedder(sizes_N3[..., 2])], dim=-1)

    def condition(self, t_N: Tensor, prompts: PromptKeys) -> PixArtConditioning:
        """All adaLN vectors for timesteps (0 ... 999, any float) that broadcast against the prompts, which pass through."""
        c_ND = self.t_embedder(t_N)
        if prompts.size is not None:
            c_ND = c_ND + prompts.size
        tables_M6D = torch.stack([block.scale_shift_table for block in self._blocks()])
        of_blocks = self.t_block(c_ND).unflatten(-1, (1, 6, -1)) + tables_M6D
        last = c_ND[..., None, :] + self.final_layer.scale_shift_table
        vectors = torch.cat([of_blocks.flatten(-3, -2), last], dim=-2)
        return PixArtConditioning(vectors[..., None, :], prompts.keys, prompts.values, prompts.bias)

    def positions(self, rows: int, columns: int) -> Tensor:
        """The position table (1, rows * columns, D) of a grid of tokens, computed at its first use on a device."""
        if rows == columns == self.params.grid:
            return self.pos_embed
        key = (rows, columns, self.pos_embed.device, self.pos_embed.dtype)
        if key not in self._positions:
            self._positions[key] = position_table(self.params, rows, columns).to(self.pos_embed)
        return self._positions[key]

    def embed(self, x_BChw: Tensor) -> Tensor:
        """Tokens (B, T, D) of a latent, each with its place in this latent's own grid."""
        rows, columns = (side // self.params.patch for side in x_BChw.shape[2:])
        return placed(self.x_embedder(x_BChw), self.positions(rows, columns))

    def denoise(self, x_BTD: Tensor, conditioning: PixArtConditioning, execution: Execution = PLAIN) -> Tensor:
        """The blocks and the final layer: tokens of one latent, or of several side by side, to patches of the prediction."""
        vectors = unbound(conditioning.vectors)
        keys, values = conditioning.keys.unbind(1), conditioning.values.unbind(1)
        h_BTD = x_BTD
        for block, (to_attn, to_mlp), key, value in zip(self.blocks, vectors.blocks, keys, values, strict=True):
            h_BTD = block(h_BTD, to_attn, to_mlp, (key, value, conditioning.bias), execution)
        return self.final_layer(h_BTD, vectors.shift, vectors.scale)

    def unembed(self, out_BTF: Tensor, rows: int) -> Tensor:
        """Patches of the prediction, in `rows` rows, back to (B, 2C, h, w)."""
        return unpatchify(out_BTF, rows, self.params.patch, self.params.out_channels)

    def forward(self, x_BChw: Tensor, conditioning: PixArtConditioning, execution: Execution = PLAIN) -> Tensor:
        return self.unembed(self.denoise(self.embed(x_BChw), conditioning, execution), x_BChw.shape[2] // self.params.patch)

    def multiply_adds(self, rows: int | None = None, columns: int | None = None) -> dict[Site | str, int]:
        """Per sample of a grid of tokens (default: that of `input_size`), as for DiT."""
        tokens = (rows or self.params.grid) * (columns or self.params.grid)
        costs: dict[Site | str, int] = {}
        for block in self._blocks():
            at_self, at_cross, at_mlp = block.sites
            costs[at_self] = block.attn.multiply_adds(tokens)
            costs[at_cross] = block.cross_attn.multiply_adds(tokens, self.params.caption_tokens)
            costs[at_mlp] = block.mlp.multiply_adds(tokens)
        costs["rest"] = self.x_embedder.multiply_adds(tokens) + tokens * self.final_layer.linear.weight.numel()
        return costs


def position_table(params: PixArtParams, rows: int | None = None, columns: int | None = None) -> Tensor:
    """The table of a grid of tokens (default: that of `input_size`), float32 (1, rows * columns, D)."""
    return stretched_positions_2d(params.width, rows or params.grid, columns or params.grid, params.grid, params.interpolation)
