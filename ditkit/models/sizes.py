"""Which pictures a model can make: the shapes that it was trained on."""

from ditkit.models.aspect_bins import Bin, bins
from ditkit.models.spec import ModelSpec


def sizes(spec: ModelSpec) -> tuple[Bin, ...]:
    """The shapes of picture that the model was trained on, widest first; of most families there is one."""
    if spec.family == "pixart":
        return bins(spec.image_size)
    return (Bin(1.0, spec.image_size, spec.image_size),)


def object_sizes(spec: ModelSpec) -> tuple[Bin, ...]:
    """The shapes of picture in which a PixArt draws a thing alone: those that it makes, or as much smaller as it was trained on too.

    Sides are rounded to whole patches.
    """
    if spec.object_size is None:
        return sizes(spec)
    patch, share = pixels_per_cell(spec) * spec.params.patch, spec.object_size / spec.image_size

    def smaller(side: int) -> int:
        return patch * round(side * share / patch)

    return tuple(Bin(known.aspect, smaller(known.height), smaller(known.width)) for known in sizes(spec))


def pixels_per_cell(spec: ModelSpec) -> int:
    """How many pixels of the picture a cell of the latent is, along each side."""
    return spec.image_size // spec.params.input_size
