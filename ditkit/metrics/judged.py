"""What a judge makes of labelled pictures, and how far they are from the nearest picture of a reference.

Shapes: B pictures, M references, P numbers of a picture. Pictures are in [-1, 1].
"""

import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.data.picture_sets import PictureSet
from ditkit.metrics.features import batches
from ditkit.models.judge import Judge

BATCH = 128
HELD = 2048  # pictures of the reference in memory at once


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


def distances_to_nearest(pictures: PictureSet, real: PictureSet, batch: int) -> dict[str, float]:
    """How far the pictures are from the nearest of the reference's and their mirror images."""
    nearest = torch.full((pictures.count,), torch.inf)
    parts = batches(pictures.count, batch)
    for held in real.read(batches(real.count, HELD)):
        references = from_uint8(held)
        either = torch.cat([references, references.flip(-1)])
        for part, read in zip(parts, pictures.read(parts), strict=True):
            here = slice(part.start, part.stop)
            nearest[here] = nearest[here].minimum(nearest_distances(from_uint8(read), either))
    return {"median distance to the nearest reference picture": nearest.median().item(), "least distance": nearest.min().item()}
