"""LoRA (Hu et al. 2021, arXiv 2106.09685): low-rank changes of a network's matrices, merged into its weights when they are loaded.

Read are PEFT's folders and files (`base_model.model.` before the names) and diffusers' (`transformer.` before them, or `.lora.down`); the
layers are called by the published names or by diffusers'.

Shapes: O outputs, I inputs of a layer, R rank.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from torch import Tensor

from ditkit.errors import CheckpointError, ConfigError
from ditkit.files.atomic import read_json
from ditkit.files.tensors import State, fingerprint, read_metadata, read_tensors
from ditkit.models import diffusers_layout, pixart_layout
from ditkit.models.dit import DiTParams
from ditkit.models.pixart import PixArtParams
from ditkit.models.spec import Params

FILES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors", "adapter_model.bin", "pytorch_lora_weights.bin")
BEFORE = re.compile(r"^(base_model\.model\.|transformer\.|model\.|module\.)+")
REBASED = ("pissa", "olora", "corda")  # ways to begin a LoRA that change the weights below it as well
KINDS = {"lora_A": "down", "lora_B": "up", "lora.down": "down", "lora.up": "up", "lora_down": "down", "lora_up": "up", "alpha": "alpha"}
NAME = re.compile(rf"^(.+)\.({'|'.join(map(re.escape, KINDS))})(\.[\w-]+?)?(\.weight)?$")


class Adapter(NamedTuple):
    """An adapter that a command asks for: its file or folder, and what to multiply its changes by."""

    path: Path
    scale: float


class Change(NamedTuple):
    """What an adapter does to one layer: scale * up (O, R) @ down (R, I)."""

    up: Tensor
    down: Tensor
    scale: float

    def matrix(self) -> Tensor:
        return self.scale * (self.up.float().flatten(1) @ self.down.float().flatten(1))


def asked(text: str) -> Adapter:
    """FILE or FILE:SCALE; raises `ConfigError` for a scale that is no finite number."""
    path, colon, scale = text.rpartition(":")
    if not colon or Path(text).exists():
        return Adapter(Path(text), 1.0)
    try:
        number = float(scale)
    except ValueError as error:
        raise ConfigError(f"cannot read --lora {text}; write FILE or FILE:SCALE, as in style.safetensors:0.8") from error
    if not abs(number) < float("inf"):
        raise ConfigError(f"the scale of --lora {text} is no finite number")
    return Adapter(Path(path), number)


def adapted(state: State, params: Params, adapters: Sequence[Adapter]) -> tuple[State, list[dict[str, Any]]]:
    """The weights with these adapters merged, and for manifests what they are.

    Raises `CheckpointError` for a file that is no LoRA, or one of layers that this network has not, or has in another size.
    """
    merged, said = dict(state), []
    for adapter in adapters:
        changes, digest = read_changes(adapter.path)
        places = _places(params)
        for layer, change in changes.items():
            _merge(merged, layer, change, adapter, places)
        ranks = sorted({len(change.down) for change in changes.values()})
        said.append({"file": str(adapter.path), "scale": adapter.scale, "ranks": ranks, "fingerprint": digest})
    return merged, said


def read_changes(path: Path) -> tuple[dict[str, Change], str]:
    """What a LoRA changes, by the layers' names as it calls them, and its fingerprint."""
    file = _file(path)
    tensors = read_tensors(file)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        found = NAME.match(BEFORE.sub("", name))
        if not found or name.endswith(".bias"):
            raise CheckpointError(f"{file} is no LoRA that ditkit can merge: it holds {name}")
        parts.setdefault(found[1], {})[KINDS[found[2]]] = value
    config = _config(file)
    changes: dict[str, Change] = {}
    for layer, part in parts.items():
        if "down" not in part or "up" not in part:
            raise CheckpointError(f"{file} is no whole LoRA: {layer} lacks its {'down' if 'down' not in part else 'up'} matrix")
        rank = len(part["down"])
        if part["up"].shape[1] != rank:
            raise CheckpointError(f"{file} is damaged: {layer} is of rank {rank} on one side and {part['up'].shape[1]} on the other")
        changes[layer] = Change(part["up"], part["down"], _scale(config, layer, rank, part.get("alpha")))
    return changes, fingerprint(tensors)


def _file(path: Path) -> Path:
    if not path.exists():
        raise CheckpointError(f"--lora {path}: no such file or folder")
    if not path.is_dir():
        return path
    found = next((path / name for name in FILES if (path / name).exists()), None)
    if found is None:
        raise CheckpointError(f"{path} holds no LoRA: it has no {' or '.join(FILES[:2])}")
    return found


def _config(file: Path) -> Mapping[str, Any]:
    """PEFT's adapter_config.json beside it, or what diffusers writes into its header; empty without either."""
    beside = file.with_name("adapter_config.json")
    header = read_metadata(file).get("lora_adapter_metadata")
    try:
        if beside.exists():
            config = read_json(beside, "configuration of a LoRA", CheckpointError)
        else:
            config = {name.removeprefix("transformer."): value for name, value in json.loads(header or "{}").items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{beside if beside.exists() else file} says nothing readable of its LoRA: {error}") from error
    unknown = [name for name in ("use_dora", "use_qalora", "alora_invocation_tokens", "lora_bias") if config.get(name)]
    start = str(config.get("init_lora_weights"))
    unknown += [f"init_lora_weights {start}"] if start.startswith(REBASED) else []
    if unknown or config.get("bias", "none") != "none" or config.get("peft_type", "LORA") != "LORA":
        what = unknown[0] if unknown else f"peft_type {config.get('peft_type', 'LORA')}, bias {config.get('bias', 'none')}"
        raise CheckpointError(f"{file} is an adapter of another kind than plain LoRA ({what}), which ditkit does not merge")
    return config


def _scale(config: Mapping[str, Any], layer: str, rank: int, alpha: Tensor | None) -> float:
    """alpha / rank, or alpha / sqrt(rank) if it is rank-stabilised; 1 where no alpha is told."""
    if alpha is not None:
        return float(alpha) / rank
    told = _of_layer(config.get("alpha_pattern") or {}, layer, config.get("lora_alpha"))
    if told is None:
        return 1.0
    return float(told) / (rank**0.5 if config.get("use_rslora") else rank)


def _of_layer(patterns: Mapping[str, Any], layer: str, default: Any) -> Any:
    """PEFT's rule: the first pattern that a layer's name ends with, a regular expression."""
    return next((value for pattern, value in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", layer)), default)


def _places(params: Params) -> dict[str, tuple[str, int, int]]:
    """Where diffusers' layers are in the published ones: the layer, which of its parts, and of how many."""
    if isinstance(params, PixArtParams):
        return _joined(pixart_layout, params.depth)
    if type(params) is DiTParams:
        blocks = {f"blocks.{index}.{ours}": f"transformer_blocks.{index}.{theirs}"
                  for index in range(params.depth) for ours, theirs in diffusers_layout.IN_BLOCK.items()}  # fmt: skip
        whole = {theirs: (ours, 0, 1) for ours, theirs in {**diffusers_layout.OUTSIDE, **blocks}.items()}
        parts = {
            f"transformer_blocks.{index}.{part}": (f"blocks.{index}.attn.qkv", place, 3)
            for index in range(params.depth)
            for place, part in enumerate(diffusers_layout.QKV)
        }
        return {**whole, **parts}
    return {}


def diffusers_names(params: Params) -> dict[str, tuple[str, ...]]:
    """diffusers' layers, in order, for every published one; empty for a network that it has not."""
    parts: dict[str, dict[int, str]] = {}
    for theirs, (ours, place, _) in _places(params).items():
        parts.setdefault(ours, {})[place] = theirs
    return {ours: tuple(named[place] for place in sorted(named)) for ours, named in parts.items()}


def _joined(layout: ModuleType, depth: int) -> dict[str, tuple[str, int, int]]:
    named = [(ours, theirs) for ours, theirs in layout.names(depth) if ours.endswith(".weight")]
    return {
        part.removesuffix(".weight"): (ours.removesuffix(".weight"), place, len(theirs))
        for ours, theirs in named
        for place, part in enumerate(theirs)
    }


def _merge(state: State, layer: str, change: Change, adapter: Adapter, places: Mapping[str, tuple[str, int, int]]) -> None:
    ours, place, count = places.get(layer, (layer, 0, 1))
    weight = state.get(f"{ours}.weight")
    if weight is None:
        raise CheckpointError(f"{adapter.path} changes {layer}, which this model has not; it is a LoRA of another model")
    rows = len(weight) // count
    change_OI = change.matrix()
    wanted = (rows, weight[0].numel())
    if tuple(change_OI.shape) != wanted:
        raise CheckpointError(
            f"{adapter.path} changes {layer} of {tuple(change_OI.shape)}, this model's is {wanted}; it is a LoRA of another model"
        )
    changed = weight.float().clone()
    changed[place * rows : (place + 1) * rows] += adapter.scale * change_OI.reshape(rows, *weight.shape[1:])
    state[f"{ours}.weight"] = changed
