"""What the forms let one choose from. The registry of models takes seconds to load: the page is there before it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Chosen:
    """What a form has to know of a model: how it is asked, and what is done where nothing is said."""

    classes: tuple[str, ...]
    reads: bool  # prompts
    steps: int
    guidance: float
    points: int
    shapes: tuple[str, ...]  # height x width of the pictures it was trained on, as --size takes them; its own first


def pictures() -> list[str]:
    """The models that draw pictures, those whose weights are here first."""
    return _models(lambda spec: not spec.points)


def grounded() -> list[str]:
    """The models that put things into boxes."""
    return _models(lambda spec: spec.family == "pixart" and bool(spec.text))


def clouds() -> list[str]:
    return _models(lambda spec: bool(spec.points))


def chosen(model: str) -> Chosen:
    """Raises `UnknownName` for no model."""
    from ditkit.models import registry
    from ditkit.models.aspect_bins import bins
    from ditkit.tasks.shared.classes import class_names

    spec = registry.find(model)
    names: Sequence[str] = class_names(spec) or tuple(map(str, range(spec.label_count)))
    own = f"{spec.image_size}x{spec.image_size}"
    shapes = [f"{shape.height}x{shape.width}" for shape in bins(spec.image_size)] if spec.family == "pixart" else []
    return Chosen(
        classes=() if spec.text else tuple(names),
        reads=bool(spec.text),
        steps=spec.defaults.steps,
        guidance=spec.defaults.guidance,
        points=spec.points,
        shapes=tuple(dict.fromkeys([own, *shapes])),
    )


def _models(wanted: Callable[[Any], bool]) -> list[str]:
    from ditkit.models import registry

    names = [name for name, spec in registry.SPECS.items() if wanted(spec)]
    return sorted(names, key=lambda name: registry.SPECS[name].weights.asset is None)
