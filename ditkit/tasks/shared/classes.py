"""Classes: what they are called, which ones a run is asked for, and which rows of a network's label table those of the data take."""

import json
from collections.abc import Sequence
from importlib.resources import files

from ditkit.config.numbers import whole
from ditkit.engine.conditions import PromptTable
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.turns import Turns
from ditkit.errors import DataError, RequestError, UnknownName
from ditkit.models.own_classes import with_classes
from ditkit.models.spec import ModelSpec


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
    found = [label_of(name, known) for name in names]
    if all(label is None for label in found) and (not known or len(names) == spec.label_count):
        return list(range(len(names)))
    if unknown := [name for name, label in zip(names, found, strict=True) if label is None]:
        raise DataError(f"{spec.name} knows no class '{unknown[0]}' of {path}; it knows {', '.join(known[:6])}{', ...' * (len(known) > 6)}")
    return [label for label in found if label is not None]


def _way_out(spec: ModelSpec) -> str:
    return "; choose with data.categories=[...]" if spec.points else ""


def class_names(spec: ModelSpec) -> tuple[str, ...]:
    """The names of a model's classes, by label; empty when it has none on file."""
    return known_classes(spec.classes) if spec.classes else ()


def known_classes(classes: str) -> tuple[str, ...]:
    """The names in a list of classes that ships, by label."""
    file = files("ditkit") / "assets" / "classes" / f"{classes}.json"
    return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ()


def names(model: Model, request: SamplingRequest) -> list[str]:
    """What every sample is asked to show: its class, or its prompt."""
    if request.prompts:
        return [request.prompts.texts[label] for label in request.labels]
    return [model.class_names[label] if model.class_names else str(label) for label in request.labels]


def labels(wanted: Sequence[str], count: int, of: Model, prompts: PromptTable | None = None) -> Turns:
    """One label per sample: the prompts, or the wanted classes, in turn, or a spread over all classes when none is asked for."""
    if prompts:
        return Turns(range(len(prompts.texts)), count)
    spec, names = of.spec, of.class_names
    classes = min(spec.label_count, len(names) or spec.label_count)  # own data may have fewer than the network has rows for
    if not classes:
        if wanted:
            raise RequestError(f"{spec.name} is unconditional: it has no classes to choose from")
        return Turns((0,), count)
    chosen = [_label(word, spec, names, classes) for word in wanted] or [
        index * classes // min(count, classes) for index in range(min(count, classes))
    ]
    return Turns(tuple(chosen), count)


def _label(word: str, spec: ModelSpec, names: Sequence[str], classes: int) -> int:
    if (number := whole(word)) is not None:
        if not 0 <= number < classes:
            raise RequestError(f"{spec.name} has classes 0 to {classes - 1}, not {word}")
        return number
    label = label_of(word, names)
    if label is not None:
        return label
    if not names:
        raise RequestError(f"the class names of {spec.name} are not on file; give class numbers, 0 to {spec.label_count - 1}")
    raise UnknownName("class", word, names)


def label_of(name: str, names: Sequence[str]) -> int | None:
    """Which class is called that, or has it as a synonym."""
    wanted = _plain(name)
    return next((label for label, synonyms in enumerate(names) if wanted in map(_plain, synonyms.split(","))), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", " ").replace("_", " ")
