"""Giving a network its weights, or saying in words why they are not its own."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.errors import CheckpointError
from ditkit.models import diffusers_layout
from ditkit.models.dit import DiTParams
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.identify import describe, identify, registered, title, told
from ditkit.models.pixart import PixArtParams
from ditkit.models.pixart import position_table as pixart_positions
from ditkit.models.spec import Params
from ditkit.nn.embed import sincos_positions_3d

TABLE_ROUNDING = 0.01  # a position table this close to the computed one is that table, rounded to half precision or not


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
    whole = next((name for name, value in wanted.items() if value.is_floating_point() and not given[name].is_floating_point()), None)
    if whole:
        kind = str(given[whole].dtype).removeprefix("torch.")
        raise CheckpointError(f"{origin} holds whole numbers, {whole} is {kind}, perhaps of a quantised network; save it as float16")
    on_meta = any(value.is_meta for value in wanted.values())
    module.load_state_dict({name: given[name].to(wanted[name].dtype) for name in wanted}, assign=on_meta)


def fixed_positions(params: DiTParams | DiT3DParams | PixArtParams) -> Tensor:
    if isinstance(params, PixArtParams):
        return pixart_positions(params)
    return diffusers_layout.position_table(params) if isinstance(params, DiTParams) else sincos_positions_3d(params.width, params.grid)


def _position_table(params: DiTParams | DiT3DParams | PixArtParams, given: Tensor | None) -> Tensor:
    """DiT's table is fixed: a file may leave it out or keep it rounded. One that is really different is used as it is.

    PixArt computes its table anew for every shape of latents: what a file has of it only tells for which size it is, and one of many
    scales not even that.
    """
    table = fixed_positions(params)
    if isinstance(params, PixArtParams) and (params.micro_conditions or (given is not None and given.shape == table.shape)):
        return table
    if given is None or (given.shape == table.shape and torch.allclose(given.float(), table, rtol=0, atol=TABLE_ROUNDING)):
        return table
    return given


def differences(found: Params, wanted: Params) -> str:
    """The numbers in which two networks of a family differ, in words: "classes 10 instead of 1000"."""
    ours, theirs = asdict(wanted), asdict(found)
    return ", ".join(f"{name.replace('_', ' ')} {value} instead of {ours[name]}" for name, value in theirs.items() if value != ours[name])


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


UNKNOWN_PARTS = {
    ".attn.sr.": "its attention compresses keys and values (attn.sr), as PixArt-Sigma's training can",
    ".attn.q_norm.": "its attention normalises queries and keys (attn.q_norm)",
}
"""Of networks that ditkit's are not."""


def _instead(wanted: Params, state: Mapping[str, Tensor]) -> str:
    strange = next((words for part, words in UNKNOWN_PARTS.items() if any(part in name for name in state)), None)
    if strange and isinstance(wanted, PixArtParams):
        return f"; {strange}, and ditkit's does not"
    if any(name.startswith(("decoder.conv_in", "encoder.conv_in")) for name in state):
        return "; this is an autoencoder: give it as codec.path=PATH"
    shown = identify(state)
    found = told(shown, wanted) if shown else None
    if found is None or found == wanted:
        return ""
    if describe(found) == describe(wanted):
        return f"; the file has {differences(found, wanted)}"
    spec = registered(found)
    hint = f"; use the model {spec.name}" if spec else ""
    return f"; this is a {title(found)} checkpoint{f' (input {found.input_size})' if found.input_size else ''}{hint}"
