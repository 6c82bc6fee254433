"""Reading weights of any known layout under the published names, which are also ditkit's own.

Known are the published files, the states that DiT's, DiT-3D's and PixArt's training saves, diffusers folders and single files, and
ditkit's safetensors.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ditkit.errors import CheckpointError
from ditkit.files.folders import INDEX, elsewhere, indexed, part_of, weight_files
from ditkit.files.json_object import read_object
from ditkit.files.tensors import State, read_metadata, read_weights
from ditkit.models import diffusers_layout, pipeline, pixart_layout
from ditkit.models.blank import family_of
from ditkit.models.diffusers_layout import is_diffusers_dit
from ditkit.models.dit import DiTParams
from ditkit.models.kin import Kin, kin, one_stack
from ditkit.models.loading import fixed_positions
from ditkit.models.own_names import own_names
from ditkit.models.pixart import PixArtParams
from ditkit.models.pixart_layout import NULL_CAPTION, is_diffusers_pixart
from ditkit.models.spec import KINDS, Params
from ditkit.models.stated import check_stated

FILE_NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
CARRIED = ("cloud_mean", "cloud_scale")
CLASSES = {diffusers_layout: "DiTTransformer2DModel", pixart_layout: "PixArtTransformer2DModel"}
CONFIG_CLASSES = (*CLASSES.values(), "Transformer2DModel")  # once for both


@dataclass(frozen=True)
class Checkpoint:
    """Weights under the published names, and what the file or its folder says of them.

    `params` are the numbers of the network where they are stated, not told from shapes, by diffusers' config.json if `from_diffusers`;
    `caption_tokens` how long the prompts are that a PixArt reads; `pipeline` the class of the pipeline that it is a part of; `kin` whether
    it is a DiT or a SiT, if anything tells; `notes` lines worth saying.
    """

    state: State
    params: Params | None
    from_diffusers: bool = False
    caption_tokens: int | None = None
    pipeline: str | None = None
    notes: tuple[str, ...] = ()
    kin: Kin | None = None


def read_checkpoint(path: Path, key: str | None = None, *, shapes: bool = False) -> Checkpoint:
    """Read a file, or a diffusers folder (the pipeline's or the transformer's); of several sets of weights that of the name `key`.

    Its numbers are stated in ditkit's metadata or diffusers' config.json; `identify` tells those of other files from the shapes.
    With `shapes` the weights themselves are not read.
    """
    files = _files(path)
    state, notes, said = _read(files, key, shapes)
    layout = _diffusers_layout(state)
    whole = pipeline.folder_of(path)
    notes = tuple(line for line in (*notes, pipeline.strange_names(whole)) if line)
    if not layout:
        caption = state.pop(NULL_CAPTION, None)
        params = _params_in(read_metadata(files[0]), files[0])
        if params:
            check_stated(params, state, path, "what ditkit wrote beside its weights")
        tells = Kin(family_of(params), "it says so itself") if params else kin(state, said, path)
        return Checkpoint(one_stack(state), params, False, None if caption is None else len(caption), None, notes, tells)
    official, params = layout.to_official(state), _params_beside(files[0], layout, path)
    if params:
        check_stated(params, official, path, "its config.json")
        official["pos_embed"] = fixed_positions(params)
    tokens = pipeline.caption_tokens(whole) if isinstance(params, PixArtParams) else None
    tells = Kin("dit", "it is in diffusers' layout") if layout is diffusers_layout else None
    return Checkpoint(official, params, True, tokens, pipeline.class_of(whole), notes, tells)


def _files(path: Path) -> list[Path]:
    """`path` itself, the parts that it lists, or the files of weights in a diffusers folder."""
    if path.is_file() and path.name.endswith(".json") and INDEX in path.name:
        return indexed(path)
    if not path.is_dir():
        if part := part_of(path):
            raise CheckpointError(f"{path} is {part}")
        return [path]
    found = weight_files(path / "transformer" if (path / "transformer").is_dir() else path)
    if not found:
        raise CheckpointError(
            f"{path} is not a diffusers folder: it has no {FILE_NAMES[0]} or {FILE_NAMES[1]}, nor a transformer/ with one{elsewhere(path)}"
        )
    return found


def _read(files: list[Path], key: str | None, shapes: bool) -> tuple[State, list[str | None], dict[str, Any]]:
    """The weights of all files together under the network's own names, lines that say which set of them was taken, and their options."""
    parts = [read_weights(file, key, shapes=shapes) for file in files]
    state = {name: value for part in parts for name, value in part.state.items()}
    options = {name: value for part in parts for name, value in part.said.items()}
    own, beside = own_names(state)
    notes = dict.fromkeys((*(part.note for part in parts), f"{files[0].name}: {beside}" if beside else None))
    return own, list(notes), options


def _diffusers_layout(state: State) -> ModuleType | None:
    """The module that knows these names of diffusers', if they are."""
    if is_diffusers_dit(state):
        return diffusers_layout
    return pixart_layout if is_diffusers_pixart(state) else None


def _params_in(metadata: Mapping[str, str], file: Path) -> Params | None:
    kind = KINDS.get(metadata.get("family", ""))
    try:
        return kind(**json.loads(metadata["params"])) if kind else None
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} was written by another version of ditkit: {error}") from error


def _params_beside(file: Path, layout: ModuleType, asked: Path) -> DiTParams | PixArtParams | None:
    """What the config.json beside a diffusers file says; beside a file that was `asked` for by name it may be somebody else's."""
    path = file.with_name("config.json")
    if not path.exists():
        return None
    config = read_object(path)
    if (said := config.get("_class_name", CONFIG_CLASSES[0])) not in CONFIG_CLASSES:
        if asked.is_file():
            return None
        raise CheckpointError(f"{path} says _class_name = {json.dumps(said)}, and the weights beside it are those of a {CLASSES[layout]}")
    try:
        return layout.from_config(config)
    except CheckpointError as error:
        raise CheckpointError(f"{path.parent}/{error}") from error


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names, by label, in a diffusers pipeline's model_index.json or in the metadata of a file that ditkit wrote; or none."""
    if names := pipeline.class_names(pipeline.folder_of(path)):
        return names
    file = _first_file(path)
    try:
        told = json.loads(read_metadata(file).get("class_names", "[]")) if file else []
    except ValueError as error:
        raise CheckpointError(f"{file} was written by another version of ditkit: {error}") from error
    return tuple(map(str, told)) if isinstance(told, list) else ()


def words_beside(path: Path) -> dict[str, str]:
    """What weights say beside their numbers, as safetensors' metadata: class names, and how clouds were normalised."""
    names, file = read_class_names(path), _first_file(path)
    words = {name: value for name, value in read_metadata(file).items() if name in CARRIED} if file else {}
    return words | ({"class_names": json.dumps(names)} if names else {})


def _first_file(path: Path) -> Path | None:
    return next(iter(weight_files(path)), None) if path.is_dir() else path
