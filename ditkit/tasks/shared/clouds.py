"""A command's training clouds, with the labels that the model knows."""

from ditkit.config.schema import DataConfig
from ditkit.data.clouds import Clouds, labelled_as, load_clouds
from ditkit.errors import DataError
from ditkit.models.spec import ModelSpec
from ditkit.shapes.clouds import Note
from ditkit.tasks.shared import build


def labelled(data: DataConfig, spec: ModelSpec, note: Note) -> Clouds:
    """Those of the categories asked for; raises `DataError` for a category that the model does not know, or for too many."""
    clouds = load_clouds(str(data.path), "train", data.categories, note)
    if names := build.class_names(spec):
        return labelled_as(clouds, names)
    if spec.label_count and len(clouds.class_names) > spec.label_count:
        found = f"{data.path} has {len(clouds.class_names)} classes, {spec.name} has {spec.label_count}"
        raise DataError(f"{found}; choose with data.categories=[...]")
    return clouds
