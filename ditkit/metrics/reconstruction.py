"""How close a picture is to what it should be."""

import torch
from torch import Tensor


def psnr(output_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture (B,) in dB; pictures are in [-1, 1], so the peak-to-peak range is 2."""
    return 10 * torch.log10(4 / (output_B3HW.clamp(-1, 1) - target_B3HW).square().flatten(1).mean(1))
