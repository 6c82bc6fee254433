"""DiT-3D: a diffusion transformer for point clouds, which works on a voxel grid in between (Mo et al. 2023, arXiv 2307.01831).

Parameter names are those of the published checkpoints.

Shapes: B batch, P points of a cloud, S points that are seen.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.errors import ConfigError
from ditkit.execution import PLAIN, Execution
from ditkit.models.adaln import AdaLNTransformer
from ditkit.nn.embed import LabelEmbedding, TimeEmbedding, sincos_positions_3d
from ditkit.nn.mlp import MLP
from ditkit.nn.modulation import ModulatedBlock, ModulatedLinear
from ditkit.nn.patch import PatchEmbedding, placed, unpatchify_3d
from ditkit.nn.voxels import devoxelise, voxel_coordinates, voxelise
from ditkit.nn.windows import GridAttention, Windows


@dataclass(frozen=True)
class DiT3DParams:
    """The numbers that make a DiT-3D; `input_size` is the voxel grid's side.

    The number of points is free, but a voxel's features are those of the points in it, and a network trained on few errs on many: of
    more than the `points` it is trained on it looks at so many, evenly spread over their order, and says the noise of all.

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
    points: int = 2048
    mlp_ratio: float = 4.0

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


class DiT3D(AdaLNTransformer):
    """Predicts the noise (B, 3, P) in a point cloud (B, 3, P); with a learned variance (B, 6, P), its interpolation coefficient last."""

    def __init__(self, params: DiT3DParams) -> None:
        super().__init__()
        self.params = params
        self.predicts_variance = params.learn_sigma
        width = params.width
        self.x_embedder = PatchEmbedding(params.channels, width, params.patch, dimensions=3)
        self.t_embedder = TimeEmbedding(width)
        self.y_embedder = LabelEmbedding(params.classes, width)
        self.pos_embed = nn.Buffer(sincos_positions_3d(width, params.grid))
        self.blocks = nn.ModuleList(
            ModulatedBlock(
                index,
                GridAttention(width, params.heads, params.windows(index), relative=params.relative_positions),
                MLP(width, "none", params.mlp_ratio),
            )
            for index in range(params.depth)
        )
        self.final_layer = ModulatedLinear(width, params.patch**3 * params.out_channels)
        self.sites = tuple(site for block in self._blocks() for site in block.sites)
        self.reset_parameters()

    def forward(self, x_B3P: Tensor, conditioning: Tensor, execution: Execution = PLAIN) -> Tensor:
        params = self.params
        seen_B3S = self._seen(x_B3P)
        at_B3P = voxel_coordinates(x_B3P, params.input_size, None if seen_B3S is x_B3P else seen_B3S)
        tokens = placed(self.x_embedder(voxelise(seen_B3S, self._seen(at_B3P), params.input_size)), self.pos_embed)
        out = self.denoise(tokens, conditioning, execution)
        return devoxelise(unpatchify_3d(out, params.grid, params.patch, params.out_channels), at_B3P)

    def _seen(self, of_points_B3P: Tensor) -> Tensor:
        """What belongs to the points that the network looks at."""
        count, most = of_points_B3P.shape[2], self.params.points
        return of_points_B3P[..., torch.arange(most, device=of_points_B3P.device) * count // most] if count > most else of_points_B3P
