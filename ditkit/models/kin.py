"""DiT or SiT: their files have the same names and shapes, so other things have to tell which one a file is of."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ditkit.models.diffusers_layout import depth_of

KIN = ("dit", "sit")
PUBLISHED = re.compile(r"^(dit|sit)-(s|b|l|xl)[-_]\d", re.IGNORECASE)  # as files of weights are called
FLOW_OPTIONS = ("path_type", "projector_embed_dims")  # that SiT's and REPA's training has, and DiT's has not
PROJECTORS, DECODER = "projectors.", "decoder_blocks."  # what REPA's training adds, and what it once called the later blocks


class Kin(NamedTuple):
    """The family that a file is of, and in words what tells it."""

    family: str
    reason: str


def kin(state: Mapping[str, Tensor], said: Mapping[str, Any], path: Path) -> Kin | None:
    """What the weights under published names, the options saved beside them or the file's name tell; None if they tell nothing."""
    model = PUBLISHED.match(str(said.get("model", "")).replace("/", "-"))
    if model:
        return Kin(model[1].lower(), f"it was trained with model={said['model']}")
    option = next((name for name in FLOW_OPTIONS if name in said), None)
    if option:
        return Kin("sit", f"it was trained with {option}={said[option]}")
    if any(name.startswith((PROJECTORS, DECODER)) for name in state) or "blocks.0.attn.q_norm.weight" in state:
        return Kin("sit", "it has parts that only SiT's training with REPA adds")
    called = PUBLISHED.match(path.name)
    if called:
        return Kin(called[1].lower(), "its name says so")
    return _by_final_layer(state)


def _by_final_layer(state: Mapping[str, Tensor]) -> Kin | None:
    """DiT's has a variance, which it learns; SiT's has none, or rows for one that stay as they were before training, 0."""
    rows, patches = state.get("final_layer.linear.weight"), state.get("x_embedder.proj.weight")
    if rows is None or patches is None or patches.ndim != 4:
        return None
    channels, patch = patches.shape[1:3]
    if len(rows) == channels * patch**2:
        return Kin("sit", "its final layer has no variance, which every published DiT has")
    halves = rows.unflatten(0, (patch**2, 2, channels)) if len(rows) == 2 * channels * patch**2 else None
    if halves is None or bool(halves[:, 1].any()) or not bool(halves[:, 0].any()):
        return None
    return Kin("sit", "the variance of its final layer was never trained")


def one_stack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All blocks under one name: early files of REPA call those after its encoder by another."""
    if not any(name.startswith(DECODER) for name in state):
        return dict(state)
    first = depth_of(state, "blocks")

    def renamed(name: str) -> str:
        _, number, *rest = name.split(".")
        return ".".join(["blocks", str(first + int(number)), *rest])

    return {renamed(name) if name.startswith(DECODER) else name: value for name, value in state.items()}
