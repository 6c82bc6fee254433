"""DiT: a transformer on latent patches, with time and label entering through adaLN-Zero (Peebles & Xie 2022, arXiv 2212.09748).

Parameter names are those of the published checkpoints.

Shapes: B batch, C channels, H W latent.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ditkit.execution import PLAIN, Execution
from ditkit.models.adaln import AdaLNTransformer
from ditkit.nn.attention import SelfAttention
from ditkit.nn.embed import LabelEmbedding, TimeEmbedding, sincos_positions_2d
from ditkit.nn.mlp import MLP
from ditkit.nn.modulation import ModulatedBlock, ModulatedLinear
from ditkit.nn.patch import PatchEmbedding, placed, unpatchify


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
    mlp_ratio: float = 4.0

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


class DiT(AdaLNTransformer):
    """Predicts (B, 2C, H, W) from a latent (B, C, H, W): noise, then the variance's interpolation coefficient."""

    def __init__(self, params: DiTParams) -> None:
        super().__init__()
        self.params = params
        self.predicts_variance = params.learn_sigma
        diffusers, width = params.compat == "diffusers", params.width
        self.x_embedder = PatchEmbedding(params.channels, width, params.patch)
        self.t_embedder = TimeEmbedding(width, denominator=127 if diffusers else None)
        self.y_embedder = LabelEmbedding(params.classes, width)
        grid = params.input_size // params.patch
        self.pos_embed = nn.Buffer(sincos_positions_2d(width, grid, grid))
        self.blocks = nn.ModuleList(
            ModulatedBlock(
                index,
                SelfAttention(width, params.heads, qkv_bias=True),
                MLP(width, "tanh", params.mlp_ratio),
                mlp_norm_eps=1e-5 if diffusers else 1e-6,
            )
            for index in range(params.depth)
        )
        self.final_layer = ModulatedLinear(width, params.patch**2 * params.out_channels)
        self.sites = tuple(site for block in self._blocks() for site in block.sites)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.zeros_(self.x_embedder.proj.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x_BCHW: Tensor, conditioning: Tensor, execution: Execution = PLAIN) -> Tensor:
        out = self.denoise(placed(self.x_embedder(x_BCHW), self.pos_embed), conditioning, execution)
        return unpatchify(out, x_BCHW.shape[2] // self.params.patch, self.params.patch, self.params.out_channels)
