"""Weights in and out: any known layout is read under the published names, which are also ditkit's own.

Known are the published files, the states that DiT's and DiT-3D's training saves, diffusers folders and single files, and ditkit's
safetensors.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ditkit.errors import CheckpointError, ConfigError
from ditkit.files.atomic import write_atomically
from ditkit.files.folders import weight_files
from ditkit.files.in_use import in_use
from ditkit.files.sketch import sketch
from ditkit.files.tensors import State, fingerprint, read_metadata, write_tensors
from ditkit.files.weights import RANDOM, locate
from ditkit.models import diffusers_layout, pixart_layout, registry
from ditkit.models.adapters import Adapter, adapted
from ditkit.models.blank import blank, family_of
from ditkit.models.dit import DiTParams
from ditkit.models.fitting import fitted, news, undecided
from ditkit.models.identify import FAMILY_NAMES, PUBLISHED_RATIO, describe, identify, registered, same_network
from ditkit.models.loading import load_into
from ditkit.models.pipeline import AUTOENCODER, folder_of
from ditkit.models.pixart import PixArtParams
from ditkit.models.reading import FILE_NAMES, Checkpoint, read_checkpoint, read_class_names, words_beside
from ditkit.models.spec import ModelSpec, Params

LAYOUTS = ("ditkit", "diffusers")
DIFFUSERS: dict[str, ModuleType] = {"dit": diffusers_layout, "pixart": pixart_layout}  # its names for the families that it has


@dataclass(frozen=True)
class Loaded:
    """A network with its weights: the model as the file says it is, where the weights came from (for manifests), and the class names
    and the file they came with, if any; `pipeline` is the folder of the pipeline, if it is one of the user's, `with_vae` that whose
    autoencoder comes along; `notes` are lines worth saying.
    """

    spec: ModelSpec
    backbone: Any
    origin: dict[str, Any]
    class_names: tuple[str, ...] = ()
    file: Path | None = None
    pipeline: Path | None = None
    with_vae: Path | None = None
    notes: tuple[str, ...] = ()


def load_backbone(
    spec: ModelSpec, path: str | None = None, revision: str | None = None, key: str | None = None, adapters: Sequence[Adapter] = ()
) -> Loaded:
    """The network with its weights, float32 on the CPU, of the numbers that the file says or shows.

    `path` takes the place of the published weights; "random" leaves the network as its paper initialises it, the same every time.
    `key` says which of several sets of weights in a file to take; `adapters` are merged into them, in this order.
    """
    found = locate(spec.weights, path, revision)
    if found is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = registry.build(spec)
        state, said = adapted(backbone.state_dict(), spec.params, adapters)
        backbone.load_state_dict(state)
        return Loaded(spec, backbone, {"weights": RANDOM, "sketch": sketch(state), **({"adapters": said} if said else {})})
    checkpoint = read_checkpoint(found.path, key)
    model = trained_as(fitted(spec, checkpoint, found.path), found.path)
    backbone = blank(model.params)
    state, said = adapted(_kept(checkpoint.state, spec.drops), model.params, adapters)
    load_into(backbone, state, found.path)
    names = {"fingerprint": fingerprint(state), "sketch": sketch(state)}
    origin = {"weights": found.origin, "commit": found.commit, **names, **({"adapters": said} if said else {})}
    notes = tuple(line for line in (*checkpoint.notes, news(spec, model.params), undecided(spec, checkpoint, found.path)) if line)
    whole = folder_of(found.path)
    with_vae = whole if whole and weight_files(whole / AUTOENCODER) else None
    if found.commit is not None:  # of the hub's only what is named is fetched
        return Loaded(model, backbone, origin, read_class_names(found.path), found.path, None, with_vae, notes)
    return Loaded(model, backbone, origin, read_class_names(found.path), found.path, whole, whole, notes)


def trained_as(spec: ModelSpec, path: Path) -> ModelSpec:
    """With the prediction and the schedule that ditkit's own training wrote down, if they are not the model's usual ones."""
    words = read_metadata(path)
    said = {name: words[name] for name in ("prediction", "schedule") if name in words}
    return replace(spec, **said)  # pyright: ignore[reportArgumentType] (text that ditkit wrote)


def told_by(spec: ModelSpec, path: Path, key: str | None = None) -> tuple[ModelSpec, tuple[str, ...]]:
    """The model as the weights at `path` say it is, and their class names; the weights themselves are not read."""
    return trained_as(fitted(spec, read_checkpoint(path, key, shapes=True), path), path), read_class_names(path)


def _kept(state: State, drops: tuple[str, ...]) -> State:
    """The weights that the network has; `drops` begin the names of the others."""
    return {name: value for name, value in state.items() if not name.startswith(drops)} if drops else state


def with_compat(spec: ModelSpec, compat: str) -> ModelSpec:
    """The same model with the published equations ("official") or with diffusers' two deviations from them ("diffusers")."""
    if compat not in ("official", "diffusers"):
        raise ConfigError(f"compat is official or diffusers, not {compat}")
    if type(spec.params) is DiTParams:
        return replace(spec, params=replace(spec.params, compat=compat))
    if compat != "official":
        if isinstance(spec.params, PixArtParams):
            raise ConfigError(f"compat={compat} is for DiT only; diffusers runs {spec.name} with the published equations")
        raise ConfigError(f"compat={compat} is for DiT only; {spec.name} is not in diffusers")
    return spec


def save(state: Mapping[str, Tensor], path: Path, *, model: str, params: Params, dtype: torch.dtype | None = None, **metadata: str) -> None:
    """Write ditkit's safetensors: published names, with the model's name and numbers as metadata."""
    words = {"ditkit": "1", "model": model, "family": family_of(params), "params": json.dumps(asdict(params)), **metadata}
    write_tensors(path, state, words, dtype)


def convert(path: Path, out: Path, layout: str = "ditkit", model: str | None = None, key: str | None = None) -> Params:
    """Read weights in any known layout and write ditkit's safetensors file, or a diffusers folder (DiT and PixArt only); precision is kept.

    `model` says what they are where the file does not: a DiT or a SiT, and which way a SiT's time runs; `key` which of several sets of
    weights in the file to take. Returns the numbers of the network they are for.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"layout is {' or '.join(LAYOUTS)}, not {layout}")
    checkpoint = read_checkpoint(path, key)
    params = _stated(checkpoint, path, model)
    if params is None:
        raise CheckpointError(f"{path} is no checkpoint that ditkit knows; known are DiT, SiT, U-ViT, DiT-3D and PixArt")
    if not params.input_size:
        raise CheckpointError(f"{path} does not say for which input size it is; put diffusers' config.json beside it")
    checkpoint = replace(checkpoint, state=_kept(checkpoint.state, registry.find(model).drops if model else ()))
    load_into(blank(params), checkpoint.state, path)  # complete, or refused
    words: dict[str, Any] = words_beside(path)
    if layout == "diffusers":
        theirs = DIFFUSERS.get(family_of(params))
        if theirs is None:
            family = FAMILY_NAMES[family_of(params)]
            raise CheckpointError(f"{path} is a {describe(params)} checkpoint, and diffusers has no {family}; use layout ditkit")
        if params.mlp_ratio != PUBLISHED_RATIO:
            raise CheckpointError(f"{path} is a {describe(params)}, and diffusers knows MLPs {PUBLISHED_RATIO:g} times as wide only")
        config = json.dumps(theirs.to_config(params), indent=2) + "\n"
        with in_use(out):
            write_tensors(out / FILE_NAMES[0], theirs.to_diffusers(checkpoint.state), words)
            write_atomically(out / "config.json", lambda part: part.write_text(config, encoding="utf-8"))
    else:
        spec = registered(params)
        save(checkpoint.state, out, model=model or (spec.name if spec else describe(params)), params=params, **words)
    return params


def _stated(checkpoint: Checkpoint, path: Path, model: str | None) -> Params | None:
    """The numbers of the network: as the file says or shows, of the `model` if it is one of that; a SiT has to be named."""
    if model:
        return fitted(registry.find(model), checkpoint, path).params
    if checkpoint.params is None and checkpoint.kin and checkpoint.kin.family == "sit":
        raise CheckpointError(f"{path} is a SiT ({checkpoint.kin.reason}); say which with --model, as sit-xl-2-256 or sit-xl-2-256-repa")
    params = checkpoint.params or identify(checkpoint.state)
    if not isinstance(params, PixArtParams) or not checkpoint.caption_tokens:
        return params
    told = replace(params, caption_tokens=checkpoint.caption_tokens)
    sigma = next((spec.params for spec in registry.SPECS.values() if spec.pipeline and same_network(spec.params, told)), None)
    return sigma if sigma and checkpoint.params is None else told  # whose positions a file does not tell
