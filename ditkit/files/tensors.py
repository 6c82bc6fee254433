"""Named tensors in files: safetensors, and torch's pickles with everything but plain data refused."""

import argparse
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ditkit.errors import CheckpointError, OutputError
from ditkit.files.atomic import write_atomically
from ditkit.files.mistaken import AGAIN, cut_off, mistaken
from ditkit.files.regular import check_regular
from ditkit.files.weight_sets import choose

State = dict[str, Tensor]
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
ALSO_READ = (".ckpt", ".tar")  # a .pt by another name, as in .pth.tar


def read_tensors(path: Path, key: str | None = None) -> State:
    """All tensors of a file, on the CPU; of several sets of weights that of the name `key`, else the averaged ones.

    Raises `CheckpointError` for what is no such file, is damaged, wants to run code, or holds numbers that are not finite.
    """
    return read_weights(path, key).state


class Weights(NamedTuple):
    """The tensors of a file, a line that says which set of them was taken if it holds several, and the options saved beside them."""

    state: State
    note: str | None
    said: Mapping[str, Any]


def read_weights(path: Path, key: str | None = None, *, shapes: bool = False) -> Weights:
    """As `read_tensors`, with what the file says beside. `shapes` alone are read quickly, as tensors on the meta device."""
    content = _content(path, shapes)
    state, note = choose(content, path, key)
    _check(state, path, shapes)
    options = content.get("args") if isinstance(content, Mapping) else None
    return Weights(state, note, vars(options) if isinstance(options, argparse.Namespace) else options if isinstance(options, dict) else {})


def names_in(path: Path) -> set[str]:
    """What the file's tensors are called, of which none is read; raises `CheckpointError` as `read_tensors` does."""
    content = _content(path, shapes=True)
    return set(content) if isinstance(content, Mapping) else set()


def _content(path: Path, shapes: bool) -> Any:
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, not a file of weights")
    if not path.exists():
        raise CheckpointError(f"{path}: no such file")
    check_regular(path, CheckpointError)
    if path.suffix.lower() not in SUFFIXES + ALSO_READ:
        raise CheckpointError(f"{path}: weights are read from {', '.join(SUFFIXES)} files, not from '{path.suffix}'")
    instead = mistaken(path)
    if instead:
        raise CheckpointError(f"{path} {instead}")
    return _read_safetensors(path, shapes) if _is_safetensors(path) else read_pickle(path, shapes)


def _check(state: State, path: Path, shapes: bool) -> None:
    """Raise `CheckpointError` for tensors that are no plain numbers, and for numbers that are not finite."""
    kinds = {name: kind for name, value in state.items() if (kind := odd_kind(value, shapes=shapes))}
    if kinds:
        name, kind = next(iter(kinds.items()))
        raise CheckpointError(f"{path} holds {kind} tensors, first {name}; save the weights as plain float16, bfloat16 or float32")
    broken = [name for name, value in state.items() if value.is_floating_point() and not _is_finite(value)]
    if broken:
        raise CheckpointError(f"{path} has NaN or infinite numbers in {len(broken)} of {len(state)} tensors, first in {broken[0]}")


def odd_kind(value: Tensor, *, shapes: bool = False) -> str | None:
    """What a tensor is that is no plain array of numbers, as "sparse"; None for one that is. Where `shapes` are read it may be empty."""
    if value.is_meta and not shapes:
        return "empty (meta)"
    kinds = {"quantised": value.is_quantized, "sparse": value.layout != torch.strided, "complex": value.is_complex()}
    return next((kind for kind, is_so in kinds.items() if is_so), None)


def _is_finite(value: Tensor) -> bool:
    """Of a tensor on the meta device nothing is known; of 8 bits torch cannot tell by itself."""
    return value.is_meta or bool((value.float() if value.itemsize == 1 else value).isfinite().all())


def read_options(path: Path) -> dict[str, Any]:
    """What the training that wrote a pickle was asked for: the `args` beside its weights; none of any other file."""
    content = None if _is_safetensors(path) else read_pickle(path, shapes=True)
    args = content.get("args") if isinstance(content, Mapping) else None
    return dict(vars(args)) if isinstance(args, argparse.Namespace) else dict(args) if isinstance(args, Mapping) else {}


def read_metadata(path: Path) -> dict[str, str]:
    """The words that a safetensors file carries beside its tensors; none for any other file."""
    if not path.is_file() or not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def write_tensors(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, dtype: torch.dtype | None = None
) -> None:
    """Write safetensors atomically, floating-point tensors converted to `dtype` if given."""

    def whole(value: Tensor) -> Tensor:
        kept = value.to(dtype) if value.is_floating_point() else value
        return kept.detach().cpu().clone(memory_format=torch.contiguous_format)  # safetensors refuses tensors that share memory

    copies = {name: whole(value) for name, value in state.items()}

    def write(part: Path) -> None:
        try:
            save_file(copies, part, {"format": "pt", **(metadata or {})})
            _order_metadata(part)
            part.chmod(0o666 & ~_umask())  # safetensors lets nobody else read its files
        except SafetensorError as error:
            raise OutputError(f"cannot write {path}: {_first_line(error)}") from error

    write_atomically(path, write)


def _order_metadata(file: Path) -> None:
    """Give the words beside the tensors one order: safetensors leaves it to chance."""
    with file.open("rb+") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(text) <= size, "safetensors writes its header in another way than json does"
        stream.seek(8)
        stream.write(text.ljust(size))


def _umask() -> int:
    """What this process takes away from the rights of its new files; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """A name for these weights, the same in every layout and in float32 and float16: sha256 over names, shapes and float16 values.

    DiT's position table is left out, since layouts differ in whether they carry it. A bfloat16 copy is rounded differently and has
    another fingerprint.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name == "pos_embed" and "x_embedder.proj.weight" in state:
            continue
        value = state[name].detach().cpu().to(torch.float16).contiguous()
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _is_safetensors(path: Path) -> bool:
    """By what is in it: either format is found under the other's name."""
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:  # the length of its header, which may look like ...
        return True
    if head.startswith((b"PK", b"\x80")):  # ... a zip archive, or a bare pickle, as torch.save writes them
        return False
    return path.suffix.lower() == ".safetensors" or head[8:] == b"{"


def _read_safetensors(path: Path, shapes: bool) -> State:
    part = cut_off(path)
    if part:
        raise CheckpointError(f"{path} is truncated or damaged: {part}")
    try:
        with safe_open(path, "pt") as file:
            if shapes:
                return {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in file.keys()}  # noqa: SIM118
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def read_pickle(path: Path, shapes: bool = False) -> Any:
    """What torch's restricted unpickler makes of the file: tensors, numbers, strings and containers of them.

    DiT's train.py saves its options as an argparse.Namespace. It is the one extra class allowed: it has no `__setstate__`, its
    constructor does nothing but set attributes, so a file can make it hold plain data and no more.
    """
    try:
        with path.open("rb") as file, torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about pickles that it is about to refuse
            return torch.load(file, map_location="meta" if shapes else "cpu", weights_only=True)
    except UnpicklingError as error:
        wanted = re.search(r"GLOBAL '?([\w.]+)", str(error))
        what = f"wants to run {wanted[1]}" if wanted else "is damaged or holds more than plain weights"
        raise CheckpointError(f"{path} is a pickle that {what}; it was refused and nothing of it ran") from error
    except Exception as error:  # a damaged file can make torch raise anything
        if "TorchScript" in str(error):
            raise CheckpointError(f"{path} is a TorchScript program, not weights; save the network's state_dict with torch.save") from error
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is truncated or damaged: {_first_line(error)}; {AGAIN}")


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0][:120]
    return f"{type(error).__name__}: {line}"
