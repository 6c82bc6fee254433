"""Names for the shell to complete; asked only when someone presses TAB."""

import json
from collections.abc import Iterable
from pathlib import Path

import typer

from ditkit.config.folder import options
from ditkit.config.schema import Gen3DConfig, SampleConfig

CLASSES = Path(__file__).resolve().parent.parent / "assets" / "classes"


def models(incomplete: str) -> list[str]:
    from ditkit.models.registry import SPECS

    return _starting(incomplete, SPECS)


def prompted(incomplete: str) -> list[str]:
    """The models that read prompts."""
    from ditkit.models.registry import SPECS

    return _starting(incomplete, [name for name, spec in SPECS.items() if spec.text])


def recipes(incomplete: str) -> list[str]:
    """What `ditkit train` takes: a preset or any model."""
    return list(dict.fromkeys([*_starting(incomplete, options("preset")), *models(incomplete)]))


def solvers(incomplete: str) -> list[str]:
    return _starting(incomplete, options("sampler"))


def classes(ctx: typer.Context, incomplete: str) -> list[str]:
    """The classes of the model asked for so far."""
    return _classes_of(ctx.params.get("model") or SampleConfig.model, incomplete)


def _classes_of(model: str, incomplete: str) -> list[str]:
    from ditkit.models.registry import SPECS

    spec = SPECS.get(model)
    file = CLASSES / f"{spec.classes}.json" if spec else None
    return _starting(incomplete, json.loads(file.read_text(encoding="utf-8"))) if file and file.is_file() else []


def clouds(incomplete: str) -> list[str]:
    """The models of point clouds."""
    from ditkit.models.registry import SPECS

    return _starting(incomplete, [name for name, spec in SPECS.items() if spec.points])


def categories(ctx: typer.Context, incomplete: str) -> list[str]:
    """The categories of the model of clouds asked for so far."""
    return _classes_of(ctx.params.get("model") or Gen3DConfig.model, incomplete)


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
