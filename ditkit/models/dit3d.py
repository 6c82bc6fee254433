"""DiT-3D: a diffusion transformer for point clouds, which works on a voxel grid in between (Mo et al. 2023, arXiv 2307.01831).

Parameter names are those of the published checkpoints.

Shapes: B batch, N any leading shape of conditioning, P points, T tokens (x slowest), D width.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.errors import ConfigError
from ditkit.execution import PLAIN, Execution, Site
from ditkit.models.dit import Modulation, modulate, modulation_layer
from ditkit.nn.embed import LabelEmbedding, TimeEmbedding, sincos_positions_3d
from ditkit.nn.mlp import MLP
from ditkit.nn.patch import PatchEmbedding, unpatchify_3d
from ditkit.nn.voxels import devoxelise, voxel_coordinates, voxelise
from ditkit.nn.windows import GridAttention, Windows


@dataclass(frozen=True)
class DiT3DParams:
    """The numbers that make a DiT-3D; `input_size` is the voxel grid's side. The number of points is free.

    Blocks `window_blocks` attend inside windows of `window`^3 tokens, all others to everything. The published code lets every block
    attend to everything whatever it is told, and so do its checkpoints: windows change no shape.
    """

    width: int
    depth: int
    heads: int
    patch: int
    input_size: int
    channels: int = 3
    classes: int = 1
    learn_sigma: bool = False
    window: int = 0
    window_blocks: tuple[int, ...] = ()
    relative_positions: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "window_blocks", tuple(self.window_blocks))  # JSON has lists
        if self.input_size % self.patch:
            raise ConfigError(f"patches of {self.patch} voxels do not divide a grid of {self.input_size}")
        if self.width % 6 or self.width % self.heads:
            raise ConfigError(f"a DiT-3D's width is a multiple of 6 and of its {self.heads} heads, not {self.width}")
        if self.window_blocks and not (self.window > 0 and set(self.window_blocks) <= set(range(self.depth))):
            raise ConfigError(f"windows of {self.window} tokens in blocks {self.window_blocks} do not fit {self.depth} blocks")

    @property
    def grid(self) -> int:
        """Tokens along a side."""
        return self.input_size // self.patch

    @property
    def tokens(self) -> int:
        return self.grid**3

    @property
    def out_channels(self) -> int:
        return self.channels * (2 if self.learn_sigma else 1)

    def windows(self, block: int) -> Windows:
        """What a block attends in: its windows, or one that holds all tokens."""
        return Windows(self.grid, min(self.window, self.grid) if block in self.window_blocks else self.grid)


SIZES: dict[str, dict[str, Any]] = {
    "s": {"width": 384, "depth": 12, "heads": 6},
    "b": {"width": 768, "depth": 12, "heads": 12},
    "l": {"width": 1152, "depth": 24, "heads": 16},
    "xl": {"width": 1152, "depth": 28, "heads": 16},
}


class DiT3DBlock(nn.Module):
    """A DiT block over a cube of tokens, with the exact GELU."""

    def __init__(self, params: DiT3DParams, index: int) -> None:
        super().__init__()
        self.sites = (Site(index, "attn"), Site(index, "mlp"))
        self.attn = GridAttention(params.width, params.heads, params.windows(index), relative=params.relative_positions)
        self.mlp = MLP(params.width, "none")
        self.adaLN_modulation = modulation_layer(params.width, 6)

    def forward(self, x_BTD: Tensor, to_attn: Modulation, to_mlp: Modulation, execution: Execution) -> Tensor:
        at_attn, at_mlp = self.sites
        attn = execution.branch(at_attn, lambda: self.attn(modulate(x_BTD, to_attn.shift, to_attn.scale), at_attn, execution))
        h_BTD = torch.addcmul(x_BTD, to_attn.gate, attn)
        mlp = execution.branch(at_mlp, lambda: self.mlp(modulate(h_BTD, to_mlp.shift, to_mlp.scale)))
        return torch.addcmul(h_BTD, to_mlp.gate, mlp)


class FinalLayer3D(nn.Module):
    def __init__(self, params: DiT3DParams) -> None:
        super().__init__()
        self.linear = nn.Linear(params.width, params.patch**3 * params.out_channels)
        self.adaLN_modulation = modulation_layer(params.width, 2)

    def forward(self, x_BTD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor) -> Tensor:
        return self.linear(modulate(x_BTD, shift_B1D, scale_B1D))


class DiT3D(nn.Module):
    """Predicts the noise (B, 3, P) in a point cloud (B, 3, P); with a learned variance (B, 6, P), its interpolation coefficient last."""

    def __init__(self, params: DiT3DParams) -> None:
        super().__init__()
        self.params = params
        self.predicts_variance = params.learn_sigma
        self.x_embedder = PatchEmbedding(params.channels, params.width, params.patch, dimensions=3)
        self.t_embedder = TimeEmbedding(params.width)
        self.y_embedder = LabelEmbedding(params.classes, params.width)
        self.pos_embed = nn.Buffer(sincos_positions_3d(params.width, params.grid))
        self.blocks = nn.ModuleList(DiT3DBlock(params, index) for index in range(params.depth))
        self.final_layer = FinalLayer3D(params)
        self.sites = tuple(site for block in self._blocks() for site in block.sites)
        self.reset_parameters()

    def _blocks(self) -> Iterable[DiT3DBlock]:
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
        """All adaLN vectors (N, 6 per block + 2, 1, D), as for DiT."""
        c_ND = F.silu(self.t_embedder(t_N) + self.y_embedder(y_N))
        layers = [owner.adaLN_modulation[1] for owner in (*self._blocks(), self.final_layer)]
        return torch.cat([layer(c_ND) for layer in layers], dim=-1).unflatten(-1, (-1, 1, self.params.width))

    def null(self, y_N: Tensor) -> Tensor:
        return torch.full_like(y_N, self.params.classes)

    def forward(self, x_B3P: Tensor, conditioning: Tensor, execution: Execution = PLAIN) -> Tensor:
        params = self.params
        *vectors, shift, scale = conditioning.unbind(1)
        at_B3P = voxel_coordinates(x_B3P, params.input_size)
        h_BTD = self.x_embedder(voxelise(x_B3P, at_B3P, params.input_size)) + self.pos_embed
        for index, block in enumerate(self.blocks):
            of_block = vectors[6 * index : 6 * index + 6]
            h_BTD = block(h_BTD, Modulation(*of_block[:3]), Modulation(*of_block[3:]), execution)
        out = self.final_layer(h_BTD, shift, scale)
        return devoxelise(unpatchify_3d(out, params.grid, params.patch, params.out_channels), at_B3P)

    def multiply_adds(self) -> dict[Site | str, int]:
        """Per sample, whatever its number of points; "rest" counts patches and the final layer, as for DiT."""
        tokens = self.params.tokens
        costs: dict[Site | str, int] = {}
        for block in self._blocks():
            costs[block.sites[0]] = block.attn.multiply_adds(tokens)
            costs[block.sites[1]] = block.mlp.multiply_adds(tokens)
        costs["rest"] = self.x_embedder.multiply_adds(tokens) + tokens * self.final_layer.linear.weight.numel()
        return costs
