"""Weights in and out: any known layout is read under the published names, which are also ditkit's own.

Known are the published files, the states that DiT's and DiT-3D's training saves, diffusers folders and single files, and ditkit's
safetensors.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.errors import CheckpointError, ConfigError
from ditkit.files.atomic import write_atomically
from ditkit.files.sketch import sketch
from ditkit.files.tensors import State, fingerprint, read_metadata, read_tensors, write_tensors
from ditkit.files.weights import RANDOM, locate
from ditkit.models import diffusers_layout, pixart_layout, registry
from ditkit.models.blank import blank, family_of
from ditkit.models.diffusers_layout import is_diffusers_dit
from ditkit.models.dit import DiTParams
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.identify import FAMILY_NAMES, describe, identify, registered, title
from ditkit.models.own_classes import with_classes_of
from ditkit.models.pixart import PixArtParams
from ditkit.models.pixart import position_table as pixart_positions
from ditkit.models.pixart_layout import NULL_CAPTION, is_diffusers_pixart
from ditkit.models.spec import KINDS, ModelSpec, Params
from ditkit.nn.embed import sincos_positions_3d

FILE_NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
WRAPPERS = ("model.", "module.")  # outermost first
LAYOUTS = ("ditkit", "diffusers")
CARRIED = ("cloud_mean", "cloud_scale")  # what else a file says, beside the names of its classes
DIFFUSERS: dict[str, ModuleType] = {"dit": diffusers_layout, "pixart": pixart_layout}  # its names for the families that it has
CONFIG_CLASSES = ("DiTTransformer2DModel", "PixArtTransformer2DModel", "Transformer2DModel")
TABLE_ROUNDING = 0.01  # a position table this close to the computed one is that table, rounded to half precision or not


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, where they came from (for manifests), and the class names and the file they came with, if any.

    `spec` is the model as these weights have it: with their number of classes.
    """

    spec: ModelSpec
    backbone: Any
    origin: dict[str, Any]
    class_names: tuple[str, ...] = ()
    file: Path | None = None


def load_backbone(spec: ModelSpec, path: str | None = None, revision: str | None = None) -> Loaded:
    """The network with its weights, float32 on the CPU.

    `path` takes the place of the published weights; "random" leaves the network as its paper initialises it, the same every time.
    """
    found = locate(spec.weights, path, revision)
    if found is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = registry.build(spec)
            return Loaded(spec, backbone, {"weights": RANDOM, "sketch": sketch(backbone.state_dict())})
    checkpoint = read_checkpoint(found.path)
    spec = as_in(spec, checkpoint)
    backbone = blank(spec.params)
    load_into(backbone, checkpoint.state, found.path)
    _check_untold(checkpoint.params, spec, found.path)
    names = {"fingerprint": fingerprint(checkpoint.state), "sketch": sketch(checkpoint.state)}
    origin = {"weights": found.origin, "commit": found.commit, **names}
    return Loaded(spec, backbone, origin, read_class_names(found.path), found.path)


def as_in(spec: ModelSpec, checkpoint: "Checkpoint") -> ModelSpec:
    """The model as a file of weights has it: with as many classes."""
    return with_classes_of(spec, checkpoint.params or identify(checkpoint.state), stated=checkpoint.params is not None)


def classes_in(path: Path, spec: ModelSpec) -> tuple[ModelSpec, tuple[str, ...]]:
    """The model as the weights at `path` have it, and their class names."""
    return as_in(spec, read_checkpoint(path)), read_class_names(path)


def _check_untold(stated: Params | None, spec: ModelSpec, path: Path) -> None:
    """Raise `CheckpointError` if the file states another number of heads or other windows than the model's: shapes do not tell them."""
    if stated and stated.heads != spec.params.heads:
        raise CheckpointError(f"{path} was trained with {stated.heads} attention heads, {spec.name} has {spec.params.heads}")
    if isinstance(stated, DiT3DParams) and isinstance(spec.params, DiT3DParams):
        theirs, ours = ((params.window, params.window_blocks) for params in (stated, spec.params))
        if theirs != ours:
            raise CheckpointError(f"{path} was trained with windows {theirs} (side, blocks), {spec.name} has {ours}")


def with_compat(spec: ModelSpec, compat: str) -> ModelSpec:
    """The same model with the published equations ("official") or with diffusers' two deviations from them ("diffusers")."""
    if compat not in ("official", "diffusers"):
        raise ConfigError(f"compat is official or diffusers, not {compat}")
    if isinstance(spec.params, DiTParams):
        return replace(spec, params=replace(spec.params, compat=compat))
    if compat != "official":
        if isinstance(spec.params, PixArtParams):
            raise ConfigError(f"compat={compat} is for DiT only; diffusers runs {spec.name} with the published equations")
        raise ConfigError(f"compat={compat} is for DiT only; {spec.name} is not in diffusers")
    return spec


@dataclass(frozen=True)
class Checkpoint:
    """Weights under the published names; `params` are the numbers of the network where the file states them, not told from shapes."""

    state: State
    params: Params | None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file, or a diffusers folder (the pipeline's or the transformer's).

    Its numbers are stated in ditkit's metadata or diffusers' config.json; `identify` tells those of other files from the shapes.
    """
    file = weight_file(path)
    state = _unwrapped(read_tensors(file))
    layout = _diffusers_layout(state)
    if not layout:
        state.pop(NULL_CAPTION, None)
        return Checkpoint(state, _params_in(read_metadata(file), file))
    official, params = layout.to_official(state), _params_beside(file, layout)
    if params:
        official["pos_embed"] = _fixed_positions(params)
    return Checkpoint(official, params)


def _diffusers_layout(state: State) -> ModuleType | None:
    """The module that knows these names of diffusers', if they are."""
    if is_diffusers_dit(state):
        return diffusers_layout
    return pixart_layout if is_diffusers_pixart(state) else None


def _unwrapped(state: State) -> State:
    """The names without what DiT-3D's training and torch's data parallelism put before all of them."""
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def _params_in(metadata: Mapping[str, str], file: Path) -> Params | None:
    kind = KINDS.get(metadata.get("family", ""))
    try:
        return kind(**json.loads(metadata["params"])) if kind else None
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} was written by another version of ditkit: {error}") from error


def _params_beside(file: Path, layout: ModuleType) -> DiTParams | PixArtParams | None:
    """What the config.json beside a diffusers file says, if it is a transformer's."""
    path = file.with_name("config.json")
    config = _read_json(path) if path.exists() else {}
    return layout.from_config(config) if config.get("_class_name") in CONFIG_CLASSES else None


def weight_file(path: Path) -> Path:
    """`path` itself, or the file of weights in a diffusers folder."""
    if not path.is_dir():
        return path
    folder = path / "transformer" if (path / "transformer").is_dir() else path
    for name in FILE_NAMES:
        if (folder / name).exists():
            return folder / name
    raise CheckpointError(f"{path} is not a diffusers folder: it has no {FILE_NAMES[0]} or {FILE_NAMES[1]}, nor a transformer/ with one")


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names, by label, in the metadata of a safetensors file that ditkit wrote or in a pipeline's model_index.json; or none."""
    if path.is_file():
        return tuple(json.loads(read_metadata(path).get("class_names", "[]")))
    index = path / "model_index.json"
    if not index.exists():
        converted = path / FILE_NAMES[0]
        return read_class_names(converted) if converted.exists() else ()
    names = _read_json(index).get("id2label", {})
    return tuple(names[key] for key in sorted(names, key=int))


def load_into(backbone: Any, state: Mapping[str, Tensor], origin: str | Path = "the checkpoint") -> None:
    """Give the network these weights, converted to its precision. On the meta device it takes the tensors over as they are.

    Raises `CheckpointError` with what is missing, unexpected or misshapen, and what the file looks like instead.
    """
    module: nn.Module = backbone
    params: Params = backbone.params
    wanted = module.state_dict()
    given = dict(state)
    if isinstance(params, DiTParams | DiT3DParams | PixArtParams):
        given["pos_embed"] = _position_table(params, given.get("pos_embed"))
    problems = _problems(wanted, given)
    if problems:
        raise CheckpointError(f"{origin} does not fit {describe(params)}: {problems}{_instead(params, state)}")
    on_meta = any(value.is_meta for value in wanted.values())
    module.load_state_dict({name: given[name].to(wanted[name].dtype) for name in wanted}, assign=on_meta)


def _fixed_positions(params: DiTParams | DiT3DParams | PixArtParams) -> Tensor:
    if isinstance(params, PixArtParams):
        return pixart_positions(params)
    return diffusers_layout.position_table(params) if isinstance(params, DiTParams) else sincos_positions_3d(params.width, params.grid)


def _position_table(params: DiTParams | DiT3DParams | PixArtParams, given: Tensor | None) -> Tensor:
    """DiT's table is fixed: a file may leave it out or keep it rounded. One that is really different is used as it is.

    PixArt computes its table anew for every shape of latents: what a file has of it only tells for which size it is, and one of many
    scales not even that.
    """
    table = _fixed_positions(params)
    if isinstance(params, PixArtParams) and (params.micro_conditions or (given is not None and given.shape == table.shape)):
        return table
    if given is None or (given.shape == table.shape and torch.allclose(given.float(), table, rtol=0, atol=TABLE_ROUNDING)):
        return table
    return given


def _problems(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    misshapen = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in given and given[name].shape != value.shape
    ]
    kinds = {"missing": wanted.keys() - given.keys(), "unexpected": given.keys() - wanted.keys(), "misshapen": misshapen}
    return "; ".join(f"{len(names)} {kind} ({_first(names)})" for kind, names in kinds.items() if names)


def _first(names: Iterable[str], count: int = 3) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:count]) + (", ..." if len(ordered) > count else "")


def _instead(wanted: Params, state: Mapping[str, Tensor]) -> str:
    if any(name.startswith(("decoder.conv_in", "encoder.conv_in")) for name in state):
        return "; this is an autoencoder: give it as codec.path=PATH"
    found = identify(state)
    if found is None or found == wanted:
        return ""
    spec = registered(found)
    hint = f"; use --model {spec.name}" if spec else ""
    return f"; this is a {title(found)} checkpoint{f' (input {found.input_size})' if found.input_size else ''}{hint}"


def save(state: Mapping[str, Tensor], path: Path, *, model: str, params: Params, dtype: torch.dtype | None = None, **metadata: str) -> None:
    """Write ditkit's safetensors: published names, with the model's name and numbers as metadata."""
    words = {"ditkit": "1", "model": model, "family": family_of(params), "params": json.dumps(asdict(params)), **metadata}
    write_tensors(path, state, words, dtype)


def convert(path: Path, out: Path, layout: str = "ditkit") -> Params:
    """Read weights in any known layout and write ditkit's safetensors file, or a diffusers folder (DiT and PixArt only); precision is kept.

    Returns the numbers of the network they are for.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"layout is {' or '.join(LAYOUTS)}, not {layout}")
    checkpoint = read_checkpoint(path)
    params = checkpoint.params or identify(checkpoint.state)
    if params is None:
        raise CheckpointError(f"{path} is no checkpoint that ditkit knows; known are DiT, U-ViT, DiT-3D and PixArt")
    if not params.input_size:
        raise CheckpointError(f"{path} does not say for which input size it is; put diffusers' config.json beside it")
    load_into(blank(params), checkpoint.state, path)  # complete, or refused
    words = _told_beside(path)
    if layout == "diffusers":
        theirs = DIFFUSERS.get(family_of(params))
        if theirs is None:
            family = FAMILY_NAMES[family_of(params)]
            raise CheckpointError(f"{path} is a {describe(params)} checkpoint, and diffusers has no {family}; use layout ditkit")
        config = json.dumps(theirs.to_config(params), indent=2) + "\n"
        write_tensors(out / FILE_NAMES[0], theirs.to_diffusers(checkpoint.state), words)
        write_atomically(out / "config.json", lambda part: part.write_text(config, encoding="utf-8"))
    else:
        spec = registered(params)
        save(checkpoint.state, out, model=spec.name if spec else describe(params), params=params, dtype=None, **words)
    return params


def _told_beside(path: Path) -> dict[str, str]:
    """What weights say beside their numbers, as the metadata of a safetensors file: class names, and how clouds were normalised."""
    names = read_class_names(path)
    words = {name: value for name, value in read_metadata(weight_file(path)).items() if name in CARRIED}
    return words | ({"class_names": json.dumps(names)} if names else {})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return content
