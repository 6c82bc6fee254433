"""A short name for weights that survives a change of layout or precision but not of the weights.

Sixteen fixed pseudo-random projections of all tensors, each scaled to unit norm: rounding to bfloat16 moves them by about 0.001,
moving every weight by one per cent by about 0.01.
"""

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

PROJECTIONS = 16
FOLD = 2**14  # a tensor is folded to this many numbers before it is projected
UNIT = 1e-3  # of the numbers written down
TOLERANCE = 4e-3  # root mean square


def sketch(state: Mapping[str, Tensor]) -> str:
    """64 hexadecimal digits. DiT's position table is left out, since layouts differ in whether they carry it."""
    signs = _signs()
    total, tensors = np.zeros(PROJECTIONS), 0
    for name in sorted(state):
        if not state[name].is_floating_point() or (name == "pos_embed" and "x_embedder.proj.weight" in state):
            continue
        folded = _folded(state[name].detach())
        norm = float(state[name].detach().double().norm())
        if norm:
            total += signs @ np.roll(folded, zlib.crc32(name.encode()) % FOLD) / norm
            tensors += 1
    steps = np.clip(np.round(total / max(tensors, 1) ** 0.5 / UNIT), -(2**15), 2**15 - 1).astype(">i2")
    return steps.tobytes().hex()


def same_weights(one: str, other: str) -> bool:
    """Whether two sketches are of the same weights, up to layout and precision."""
    return len(one) == len(other) and float(np.sqrt(np.mean((_numbers(one) - _numbers(other)) ** 2))) * UNIT < TOLERANCE


def _numbers(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), dtype=">i2").astype(np.float64)


def _signs() -> np.ndarray:
    """+1 and -1 from the raw bits of PCG64, which no version of numpy may change."""
    words = np.random.PCG64(20240603).random_raw(PROJECTIONS * FOLD // 64)
    bits = np.unpackbits(words.astype("<u8").view(np.uint8)).reshape(PROJECTIONS, FOLD)
    return bits.astype(np.float64) * 2 - 1


def _folded(value: Tensor) -> np.ndarray:
    """The numbers at equal places of consecutive stretches, added up in float64."""
    flat = value.cpu().reshape(-1)
    whole = len(flat) // FOLD * FOLD
    sums = flat[:whole].view(-1, FOLD).sum(0, dtype=torch.float64) if whole else torch.zeros(FOLD, dtype=torch.float64)
    sums[: len(flat) - whole] += flat[whole:].double()
    return sums.numpy()
