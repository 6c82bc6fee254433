"""A command's training clouds, with the labels that the model knows."""

from collections.abc import Sequence

from ditkit.config.schema import DataConfig
from ditkit.data.clouds import Clouds, labelled_as, load_clouds
from ditkit.errors import DataError
from ditkit.models.spec import ModelSpec
from ditkit.shapes.clouds import Note
from ditkit.tasks.shared import classes
from ditkit.tasks.shared.classes import places, sized_for


def labelled(data: DataConfig, spec: ModelSpec, known: Sequence[str], note: Note) -> Clouds:
    """Those of the categories asked for, for a trained model of the `known` ones.

    Raises `DataError` for a category that the model does not know, or for too many.
    """
    clouds = load_clouds(str(data.path), "train", data.categories, note)
    if known:
        return labelled_as(clouds, known)
    places(clouds.class_names, spec, known, str(data.path))
    return clouds


def to_learn(data: DataConfig, spec: ModelSpec, wanted: int | None, note: Note) -> tuple[ModelSpec, Clouds]:
    """The clouds to train a model on, and the model for their categories: its own ones if it has names for them, or `wanted` ones.

    Raises `DataError` for others, unless it is said how many.
    """
    clouds = load_clouds(str(data.path), "train", data.categories, note)
    if wanted is None and (known := classes.class_names(spec)):
        if not set(known) & set(names := clouds.class_names):
            ours, theirs = ", ".join(known), ", ".join(names)
            raise DataError(f"{spec.name} knows {ours}, and {data.path} has {theirs}; say classes={len(names)} for a network of these")
        return spec, labelled_as(clouds, known)
    return sized_for(spec, clouds.class_names, str(data.path), wanted), clouds
