"""Embeddings of time, labels, captions and positions.

Shapes: N any leading shape, D width, T tokens, G grid side, L prompt tokens, F prompt features.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoid(t_N: Tensor, width: int, *, denominator: int | None = None) -> Tensor:
    """[cos | sin] of t at `width // 2` geometric frequencies from 1 to 1/10000, float32 (N, width); of an odd width the last is 0.

    f_k = 10000^(-k / denominator); the published DiT and U-ViT divide by width // 2 (diffusers by width // 2 - 1).
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t_N.device) / (denominator or half))
    angles = t_N.float()[..., None] * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, width % 2))


def sincos_positions_2d(width: int, rows: int, columns: int) -> Tensor:
    """Fixed position table (1, rows * columns, width): [sin c | cos c | sin r | cos r] of integer column c and row r.

    Computed in float64 and rounded to float32, as in DiT: bit-identical to the table in published checkpoints.
    """
    return _sincos_2d(width, np.arange(rows, dtype=np.float64), np.arange(columns, dtype=np.float64))


def stretched_positions_2d(width: int, rows: int, columns: int, base: int, interpolation: float = 1.0) -> Tensor:
    """The same table for a grid stretched so that both axes run from 0 to `base` / `interpolation`, whatever its size and aspect.

    Coordinates are float32 and everything after them float64, as in PixArt.
    """
    row, column = (np.arange(count, dtype=np.float32) / (count / base) / interpolation for count in (rows, columns))
    return _sincos_2d(width, row, column)


def _sincos_2d(width: int, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    quarter = width // 4
    frequencies = 1.0 / 10000 ** (np.arange(quarter, dtype=np.float64) / quarter)
    row, column = np.meshgrid(rows, columns, indexing="ij")
    parts = [f(axis.reshape(-1, 1) * frequencies) for axis in (column, row) for f in (np.sin, np.cos)]
    return torch.from_numpy(np.concatenate(parts, axis=1)).float()[None]


def sincos_positions_3d(width: int, side: int) -> Tensor:
    """Fixed position table (1, side^3, width) of a cube, x slowest: [sin x | cos x | sin y | cos y | sin z | cos z] of integer places.

    Computed in float64 and rounded to float32, as in DiT-3D.
    """
    sixth = width // 6
    frequencies = 1.0 / 10000 ** (np.arange(sixth, dtype=np.float64) / sixth)
    angles = np.arange(side, dtype=np.float64)[:, None] * frequencies
    axis = torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], axis=1)).float()
    cube = (side, side, side, 2 * sixth)
    parts = [axis[:, None, None].expand(cube), axis[None, :, None].expand(cube), axis[None, None].expand(cube)]
    return torch.cat(parts, dim=-1).reshape(1, side**3, width)


class TimeEmbedding(nn.Module):
    """Sinusoid of t -> Linear -> SiLU -> Linear."""

    def __init__(self, width: int, frequencies: int = 256, denominator: int | None = None) -> None:
        super().__init__()
        self.frequencies, self.denominator = frequencies, denominator
        self.mlp = nn.Sequential(nn.Linear(frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t_N: Tensor) -> Tensor:
        weight: Tensor = self.mlp[0].weight  # pyright: ignore[reportAssignmentType]
        return self.mlp(sinusoid(t_N, self.frequencies, denominator=self.denominator).to(weight.dtype))


class LabelEmbedding(nn.Module):
    """A table with one row per class and a last one for "no class"."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)

    def forward(self, y_N: Tensor) -> Tensor:
        return self.embedding_table(y_N)


class CaptionProjection(nn.Module):
    """From the text encoder's features to the network's width, once for all blocks."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, y_NLF: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(y_NLF.to(self.fc1.weight.dtype)), approximate="tanh"))
