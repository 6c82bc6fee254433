"""What the folder of a diffusers pipeline says beside its weights: which pipeline it is, its class names, how long its prompts are."""

import json
import os
from pathlib import Path
from typing import Any

from ditkit.errors import CheckpointError
from ditkit.files.folders import PIPELINE as INDEX
from ditkit.files.json_object import read_object

TRANSFORMER = "transformer"
AUTOENCODER = "vae"
SCHEDULER = Path("scheduler") / "scheduler_config.json"
MOST_TOKENS = 512  # a tokenizer's `model_max_length` beyond it means that nobody has set one
TOKENS = {"PixArtAlpha": 120, "PixArtSigma": 300}  # that a pipeline reads unless its tokenizer says otherwise


def folder_of(path: Path) -> Path | None:
    """The pipeline's folder that `path` is, or whose transformer (or a file of that) it is; None for what is in no pipeline.

    One without an index, of which a transformer and its scheduler or autoencoder alone were published, is one too.
    """
    if _is_pipeline(path):
        return path
    places = (Path(os.path.abspath(path)), path.resolve())  # as it is called, and as it is where that is a link
    above = (folder.parent for place in places for folder in (place, place.parent) if folder.name == TRANSFORMER)
    return next((folder for folder in above if _is_pipeline(folder)), None)


def _is_pipeline(folder: Path) -> bool:
    together = (folder / TRANSFORMER).is_dir() and (folder / AUTOENCODER).is_dir()
    return (folder / INDEX).exists() or (folder / SCHEDULER).exists() or together


def lacks(folder: Path | None) -> list[str]:
    """The parts that a pipeline's index lists and its folder has not, of those that it brings along."""
    listed = {name for name, kind in _index(folder).items() if isinstance(kind, list) and len(kind) == 2 and all(kind)}
    return [name for name in (AUTOENCODER, SCHEDULER.parent.name) if folder is not None and name in listed and not (folder / name).is_dir()]


def class_of(folder: Path | None) -> str | None:
    """The name of its class, as `DiTPipeline`; raises `CheckpointError` for what is no name."""
    name = _index(folder).get("_class_name")
    if not isinstance(name, str | None):
        raise CheckpointError(f"{folder}/{INDEX} says _class_name = {json.dumps(name)[:80]}, which is no name of a pipeline")
    return name


def class_names(folder: Path | None) -> tuple[str, ...]:
    """The class names by label; empty where it has none, or none that belong to numbers. A label without a name is its number."""
    given = _index(folder).get("id2label")
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return tuple(given)
    if not isinstance(given, dict):
        return ()
    if given and all(_label(name) is not None for name in given.values()) and not any(_label(key) is not None for key in given):
        given = {label: name for name, label in given.items()}  # names to labels
    named = {_label(key): name for key, name in given.items() if isinstance(name, str)}
    if len(named) < len(given) or None in named:
        return ()
    return tuple(named.get(label, str(label)) for label in range(max((label for label in named if label is not None), default=-1) + 1))


def strange_names(folder: Path | None) -> str | None:
    """A line about class names that are there and cannot be read."""
    given = _index(folder).get("id2label")
    if not given or class_names(folder):
        return None
    return f"the id2label in {INDEX} gives no names by number, so classes are asked for by number"


def caption_tokens(folder: Path | None) -> int | None:
    """How many tokens of a prompt it reads, as its tokenizer says, else as its class does."""
    if folder is None:
        return None
    config = folder / "tokenizer" / "tokenizer_config.json"
    stated = read_object(config).get("model_max_length") if config.exists() else None
    if isinstance(stated, int | float) and 2 <= stated <= MOST_TOKENS:
        return int(stated)
    return next((tokens for name, tokens in TOKENS.items() if str(class_of(folder)).startswith(name)), None)


def _index(folder: Path | None) -> dict[str, Any]:
    return read_object(folder / INDEX) if folder is not None and (folder / INDEX).exists() else {}


def _label(word: Any) -> int | None:
    text = str(word) if isinstance(word, int | str) and not isinstance(word, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
