"""How far a cheaper run ends from the run it replaces, sample by sample from the same seeds.

Shapes: B samples.
"""

from torch import Tensor


def relative_errors(latents_B: Tensor, wanted_B: Tensor) -> Tensor:
    """|z - z'| / |z'| for each sample (B,), L2 over all of its numbers; `wanted_B` is what the full run ends with."""
    return (latents_B - wanted_B).flatten(1).norm(dim=1) / wanted_B.flatten(1).norm(dim=1)
