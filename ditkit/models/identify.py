"""What a file of weights is, told from its names and shapes."""

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt

from torch import Tensor

from ditkit.models.diffusers_layout import depth_of
from ditkit.models.dit import SIZES, DiTParams
from ditkit.models.registry import SPECS
from ditkit.models.spec import ModelSpec, Params
from ditkit.models.uvit import UViTParams

UVIT_SIZES = {(512, 12): "S", (768, 16): "M", (1024, 20): "L", (1152, 28): "H"}
UNKNOWN = 0  # an `input_size` that the file does not tell: diffusers leaves the position table out


def identify(state: Mapping[str, Tensor]) -> Params | None:
    """The numbers of the network these weights (under published names) belong to, or None.

    The file does not tell everything: heads are those of a registered model of this width and depth, else of head width 64
    (72, 32 or the whole width where that does not divide); a U-ViT's last label is the null class unless a registered model says
    otherwise; `input_size` is 0 if there is no position table.
    """
    try:
        params = _dit(state) if "x_embedder.proj.weight" in state else _uvit(state)
    except (KeyError, ValueError):
        return None
    twin = next((spec.params for spec in SPECS.values() if _same_shapes(spec.params, params)), None)
    return twin or params


def describe(params: Params) -> str:
    """The name people give it and the size of its pictures or input: "DiT-B/4 at 256 px"."""
    spec = registered(params)
    at = f" at {spec.image_size} px" if spec else f" with input {params.input_size}" if params.input_size else ""
    return title(params) + at


def title(params: Params) -> str:
    """The name people give it, "DiT-B/4", or its numbers where it has none."""
    spec = registered(params)
    if isinstance(params, DiTParams):
        family = "DiT"
        size = next((name.upper() for name, numbers in SIZES.items() if numbers == _numbers(params)), None)
    else:
        family, size = "U-ViT", UVIT_SIZES.get((params.width, params.depth))
    if size:
        return f"{family}-{size}/{params.patch}"
    return spec.name if spec else f"{family} of width {params.width}, depth {params.depth}, patch {params.patch}"


def registered(params: Params) -> ModelSpec | None:
    """The registered model with these numbers, whichever equations it runs with."""
    return next((spec for spec in SPECS.values() if spec.params == _official(params)), None)


def _official(params: Params) -> Params:
    return replace(params, compat="official") if isinstance(params, DiTParams) else params


def _numbers(params: Params) -> dict[str, int]:
    return {"width": params.width, "depth": params.depth, "heads": params.heads}


def _dit(state: Mapping[str, Tensor]) -> DiTParams:
    width, channels, patch, _ = state["x_embedder.proj.weight"].shape
    depth = depth_of(state, "blocks")
    return DiTParams(
        width=width,
        depth=depth,
        heads=_heads(width, depth),
        patch=patch,
        input_size=isqrt(state["pos_embed"].shape[1]) * patch if "pos_embed" in state else UNKNOWN,
        channels=channels,
        classes=state["y_embedder.embedding_table.weight"].shape[0] - 1,
        learn_sigma=state["final_layer.linear.weight"].shape[0] == 2 * channels * patch**2,
    )


def _uvit(state: Mapping[str, Tensor]) -> UViTParams:
    width, channels, patch, _ = state["patch_embed.proj.weight"].shape
    depth = 2 * depth_of(state, "in_blocks")
    rows = state["label_emb.weight"].shape[0] if "label_emb.weight" in state else 0
    tokens = state["pos_embed"].shape[1] - (2 if rows else 1)
    return UViTParams(
        width=width,
        depth=depth,
        heads=_heads(width, depth),
        patch=patch,
        input_size=isqrt(tokens) * patch,
        channels=channels,
        classes=max(rows - 1, 0),
        null_class=rows > 0,
        conv="final_layer.weight" in state,
        qkv_bias="mid_block.attn.qkv.bias" in state,
        mlp_time_embed="time_embed.0.weight" in state,
    )


def _heads(width: int, depth: int) -> int:
    known = next((spec.params.heads for spec in SPECS.values() if (spec.params.width, spec.params.depth) == (width, depth)), None)
    return known or next((width // head for head in (64, 72, 32) if width % head == 0), 1)


def _same_shapes(known: Params, found: Params) -> bool:
    """Whether a file cannot tell the two apart."""
    if isinstance(known, UViTParams) and isinstance(found, UViTParams):
        same_labels = known.label_rows == found.label_rows
        return same_labels and replace(found, classes=known.classes, null_class=known.null_class) == known
    return known == found
