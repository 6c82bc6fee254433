"""Which pictures a model can make: the shapes that it was trained on."""

from ditkit.models.aspect_bins import Bin, bins
from ditkit.models.spec import ModelSpec


def sizes(spec: ModelSpec) -> tuple[Bin, ...]:
    """The shapes of picture that the model was trained on, widest first; of most families there is one."""
    if spec.family == "pixart":
        return bins(spec.image_size)
    return (Bin(1.0, spec.image_size, spec.image_size),)


def pixels_per_cell(spec: ModelSpec) -> int:
    """How many pixels of the picture a cell of the latent is, along each side."""
    return spec.image_size // spec.params.input_size
