"""The classes of a command's data: how many rows of a network's label table they take, and which."""

from collections.abc import Sequence

from ditkit.errors import DataError
from ditkit.models.own_classes import with_classes
from ditkit.models.spec import ModelSpec
from ditkit.tasks.shared import build


def sized_for(spec: ModelSpec, names: Sequence[str], path: str, wanted: int | None) -> ModelSpec:
    """The model to be trained on classes of these names: with a row for each, or for `wanted` classes if that is said.

    Raises `DataError` for more of them than there is room for: a network gets more classes than its model has only where that is said.
    """
    if not spec.label_count and wanted is None:
        return spec
    if len(names) > (wanted or spec.label_count):
        owner = f"classes={wanted} makes room for {wanted}" if wanted else f"{spec.name} has {spec.label_count}"
        raise DataError(f"without --classes {len(names)} there is no room: {path} has {len(names)} classes, {owner}{_way_out(spec)}")
    return with_classes(spec, wanted or len(names))


def places(names: Sequence[str], spec: ModelSpec, known: Sequence[str], path: str) -> list[int]:
    """The label that a trained model has for each class of the data, by its name among the `known` ones.

    Where none of the names is known, the classes are the model's own in their order if there are as many. Raises `DataError` otherwise.
    """
    if len(names) > spec.label_count:
        raise DataError(f"{path} has {len(names)} classes, {spec.name} has {spec.label_count}{_way_out(spec)}")
    found = [build.label_of(name, known) for name in names]
    if all(label is None for label in found) and (not known or len(names) == spec.label_count):
        return list(range(len(names)))
    if unknown := [name for name, label in zip(names, found, strict=True) if label is None]:
        raise DataError(f"{spec.name} knows no class '{unknown[0]}' of {path}; it knows {', '.join(known[:6])}{', ...' * (len(known) > 6)}")
    return [label for label in found if label is not None]


def _way_out(spec: ModelSpec) -> str:
    return "; choose with data.categories=[...]" if spec.points else ""
