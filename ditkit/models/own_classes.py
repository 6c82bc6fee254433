"""Networks with another number of classes than their model was published with: their own label table, all else as it was."""

from dataclasses import replace

from ditkit.models.pixart import PixArtParams
from ditkit.models.spec import ModelSpec, Params
from ditkit.models.uvit import UViTParams

LABEL_TABLES = ("y_embedder.embedding_table.weight", "label_emb.weight")
"""The names of the parameters whose rows are the classes and, if there is one, the null class."""


def with_classes(spec: ModelSpec, classes: int, *, null_class: bool | None = None) -> ModelSpec:
    """The model for so many classes, which are no longer those of its list of names unless it has as many.

    A U-ViT has a null class beside them if `null_class` says so; None is as the model has it, and with one if it had no classes at all.
    """
    params = spec.params
    if isinstance(params, PixArtParams):
        return spec
    if isinstance(params, UViTParams):
        null = (params.null_class or not params.classes) if null_class is None else null_class
        own: Params = replace(params, classes=classes, null_class=null and classes > 0)
    else:
        own = replace(params, classes=classes)
    return spec if own == params else replace(spec, params=own, classes=None)


def with_classes_of(spec: ModelSpec, found: Params | None, *, stated: bool) -> ModelSpec:
    """The model for as many classes as a file of weights has, whose numbers were `found`.

    Shapes tell a U-ViT's rows and not whether the last one is a null class: unless the file `stated` that, it is as in the model.
    """
    if type(found) is not type(spec.params) or isinstance(found, PixArtParams) or found is None:
        return spec
    if not isinstance(found, UViTParams) or not isinstance(spec.params, UViTParams):
        return with_classes(spec, found.classes)
    if stated or not found.classes:
        return with_classes(spec, found.classes, null_class=found.null_class)
    null = spec.params.null_class or not spec.params.classes
    return with_classes(spec, found.label_rows - null, null_class=null)
