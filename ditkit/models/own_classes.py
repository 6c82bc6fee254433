"""Networks with another number of classes than their model was published with: their own label table, all else as it was."""

from dataclasses import replace

from ditkit.models.pixart import PixArtParams
from ditkit.models.spec import ModelSpec, Params
from ditkit.models.uvit import UViTParams

LABEL_TABLES = ("y_embedder.embedding_table.weight", "label_emb.weight")
"""The names of the parameters whose rows are the classes and, if there is one, the null class."""


def with_classes(spec: ModelSpec, classes: int) -> ModelSpec:
    """The model for so many classes, which are no longer those of its list of names unless it has as many.

    A U-ViT has a null class beside them if the model has one, or no classes at all.
    """
    params = spec.params
    if isinstance(params, PixArtParams):
        return spec
    if isinstance(params, UViTParams):
        own: Params = replace(params, classes=classes, null_class=params.null_class or not params.classes)
    else:
        own = replace(params, classes=classes)
    return spec if own == params else replace(spec, params=own, classes=None)
