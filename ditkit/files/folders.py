"""The files that hold a network's weights in a folder of diffusers' or transformers': whole or in parts, plain or a variant."""

from collections.abc import Sequence
from pathlib import Path

from ditkit.errors import CheckpointError
from ditkit.files.json_object import read_object

DIFFUSERS = ("diffusion_pytorch_model", "model", "pytorch_model")  # the beginnings of their names, diffusers' own first
TRANSFORMERS = ("model", "pytorch_model")
VARIANTS = ("fp32", "ema", "bf16", "fp16")  # nearest to the trained numbers first
INDEX = ".index"


def weight_files(folder: Path, stems: Sequence[str] = DIFFUSERS) -> list[Path]:
    """The files, in order, of the first set there is: of the plain ones, else of a variant; none if there is none.

    Raises `CheckpointError` for an index of parts that is damaged, or a part that is not there.
    """
    found = next((folder / name for name in _names(folder, stems) if (folder / name).exists()), None)
    if found is None:
        return []
    return indexed(found) if found.suffix == ".json" else [found]


def indexed(index: Path) -> list[Path]:
    """The files that an index of parts lists; raises `CheckpointError` unless all are there."""
    content = read_object(index)
    try:
        parts = sorted(set(content["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is no index of weights: {type(error).__name__}: {error}") from error
    strange = [part for part in parts if not isinstance(part, str) or Path(part).name != part]
    if strange or not parts:
        raise CheckpointError(f"{index} is no index of weights: {f'{strange[0]} is no name of a file' if strange else 'it lists no files'}")
    missing = [part for part in parts if not (index.parent / part).exists()]
    if missing:
        raise CheckpointError(f"{index} lists {len(parts)} files, and {missing[0]} is not there; download it too")
    return [index.parent / part for part in parts]


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
