"""What a judge makes of labelled pictures, and how far they are from the nearest picture of a reference.

Shapes: B pictures, M references, P numbers of a picture. Pictures are in [-1, 1].
"""

import torch
from torch import Tensor

from ditkit.models.judge import Judge

BATCH = 128


@torch.inference_mode()
def judged_accuracy(judge: Judge, images_B3HW: Tensor, labels_B: Tensor) -> float:
    """The share of pictures whose class the judge names first."""
    answers = [judge(part).argmax(1) for part in images_B3HW.split(BATCH)]
    return (torch.cat(answers) == labels_B).float().mean().item()


def nearest_distances(images_B3HW: Tensor, references_M3HW: Tensor) -> Tensor:
    """Each picture's root-mean-square difference (B,) to the closest reference, pixels on the scale 0 ... 1; 0 is a copy."""
    references_MP = references_M3HW.flatten(1)
    parts = [torch.cdist(part.flatten(1), references_MP).min(1).values for part in images_B3HW.split(BATCH)]
    return torch.cat(parts) / 2 / references_MP.shape[1] ** 0.5
