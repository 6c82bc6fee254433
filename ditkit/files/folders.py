"""The files that hold a network's weights in a folder of diffusers' or transformers': whole or in parts, plain or a variant."""

import re
from collections.abc import Sequence
from pathlib import Path

from ditkit.errors import CheckpointError
from ditkit.files.json_object import read_object
from ditkit.files.tensors import names_in

DIFFUSERS = ("diffusion_pytorch_model", "model", "pytorch_model")  # the beginnings of their names, diffusers' own first
TRANSFORMERS = ("model", "pytorch_model")
VARIANTS = ("fp32", "ema", "bf16", "fp16")  # nearest to the trained numbers first
INDEX = ".index"
PART = re.compile(r"(.+)-(\d+)-of-(\d+)(\.\w+)")
PIPELINE = "model_index.json"
MOST_PARTS = 10_000


def weight_files(folder: Path, stems: Sequence[str] = DIFFUSERS) -> list[Path]:
    """The files, in order, of the first set there is: of the plain ones, else of a variant; none if there is none.

    Raises `CheckpointError` for an index of parts that is damaged, or a part that is not there.
    """
    found = next((folder / name for name in _names(folder, stems) if (folder / name).exists()), None)
    if found is None:
        return _unlisted(folder, stems)
    return indexed(found) if found.suffix == ".json" else [found]


def indexed(index: Path) -> list[Path]:
    """The files that an index of parts lists; raises `CheckpointError` unless all are there, with the weights that it says each has."""
    content = read_object(index)
    try:
        places = dict(content["weight_map"].items())
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is no index of weights: {type(error).__name__}: {error}") from error
    strange = [part for part in places.values() if not isinstance(part, str) or Path(part).name != part]
    if strange or not places:
        raise CheckpointError(f"{index} is no index of weights: {f'{strange[0]} is no name of a file' if strange else 'it lists no files'}")
    parts = sorted(set(places.values()))
    _check_there(index.parent, parts, f"{index} lists {len(parts)} files")
    _check_listed(index, parts, places)
    return [index.parent / part for part in parts]


def part_of(file: Path) -> str | None:
    """A line about a file that is one of several parts, unless it is the only one."""
    said = PART.fullmatch(file.name)
    return f"part {int(said[2])} of {int(said[3])}; give the folder that all are in" if said and int(said[3]) > 1 else None


def elsewhere(folder: Path) -> str:
    """The way out for a folder that holds a pipeline further down, as one of the hub's cache does; empty for any other."""
    below = sorted(file for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{PIPELINE}"))
    return f"; a pipeline is in {below[0].parent}" if below else ""


def _check_there(folder: Path, parts: Sequence[str], said: str) -> None:
    missing = [part for part in parts if not (folder / part).exists()]
    if missing:
        raise CheckpointError(f"{said}, and {missing[0]} is not there; download it too")


def _check_listed(index: Path, parts: Sequence[str], places: dict[str, str]) -> None:
    """Raise `CheckpointError` for parts that are not those of the index: for a name that one lacks, or that two have."""
    have = {part: names_in(index.parent / part) for part in parts}
    for name, part in places.items():
        if name not in have[part]:
            raise CheckpointError(f"{index} lists {name} in {part}, which has it not; download both again")
        if other := next((other for other in parts if other != part and name in have[other]), None):
            raise CheckpointError(f"{index} lists {name} in {part}, and {other} has it too; download both again")


def _unlisted(folder: Path, stems: Sequence[str]) -> list[Path]:
    """The parts of the first set that lies there without its index; raises `CheckpointError` unless all are there."""
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    sets = [(said, name) for stem in stems for name in there if (said := PART.fullmatch(name)) and said[1].partition(".")[0] == stem]
    if not sets:
        return []
    stem, number, count, ending = sets[0][0].groups()
    parts = [f"{stem}-{part:0{len(number)}d}-of-{count}{ending}" for part in range(1, min(int(count), MOST_PARTS) + 1)]
    _check_there(folder, parts, f"{folder} has parts of {int(count)} files")
    return [folder / part for part in parts]


def _names(folder: Path, stems: Sequence[str]) -> list[str]:
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = {word for name in there for stem in stems if (word := _variant(name, stem))}
    variants = [*(word for word in VARIANTS if word in others), *sorted(others - {*VARIANTS, "non_ema"}), *({"non_ema"} & others)]
    return [
        name
        for variant in ("", *variants)
        for stem in stems
        for ending in ("safetensors", "bin")
        for name in (_index(stem, ending, variant), _whole(stem, ending, variant))
    ]


def _whole(stem: str, ending: str, variant: str) -> str:
    return ".".join(filter(None, (stem, variant, ending)))


def _index(stem: str, ending: str, variant: str) -> str:
    return ".".join(filter(None, (stem, f"{ending}{INDEX}", variant, "json")))


def _variant(name: str, stem: str) -> str | None:
    """The word that a whole file's or an index's name has more than the plain one's."""
    words = name.removeprefix(f"{stem}.").split(".")
    if not name.startswith(f"{stem}.") or words[-1] not in ("safetensors", "bin", "json"):
        return None
    if words[-1] == "json":
        return words[2] if len(words) == 4 and words[1] == "index" else None
    return words[0] if len(words) == 2 and "-of-" not in words[0] else None
