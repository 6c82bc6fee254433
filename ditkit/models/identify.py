"""What a file of weights is, told from its names and shapes."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import isqrt
from typing import TypeVar

from torch import Tensor

from ditkit.errors import ConfigError
from ditkit.models.blank import family_of
from ditkit.models.diffusers_layout import depth_of
from ditkit.models.dit import SIZES, DiTParams
from ditkit.models.dit3d import SIZES as SIZES_3D
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.pixart import SIZES as PIXART_SIZES
from ditkit.models.pixart import PixArtParams
from ditkit.models.pixart_layout import default_interpolation
from ditkit.models.registry import SPECS
from ditkit.models.sit import SiTParams
from ditkit.models.spec import ModelSpec, Params
from ditkit.models.uvit import UViTParams

FAMILY_NAMES = {"dit": "DiT", "sit": "SiT", "uvit": "U-ViT", "dit3d": "DiT-3D", "pixart": "PixArt"}
SIZES_OF = {"dit": SIZES, "sit": SIZES, "dit3d": SIZES_3D, "pixart": PIXART_SIZES}
UVIT_SIZES = {(512, 12): "S", (768, 16): "M", (1024, 20): "L", (1152, 28): "H"}
PUBLISHED_RATIO = 4.0  # of the MLP's width to the network's, in every published model
P = TypeVar("P", DiTParams, SiTParams, UViTParams, DiT3DParams, PixArtParams)
UNKNOWN = 0  # an `input_size` that the file does not tell: diffusers leaves the position table out


def identify(state: Mapping[str, Tensor]) -> Params | None:
    """The numbers of the network these weights (under published names) belong to, or None.

    The file does not tell everything: heads are those of a registered model of this width and depth, else of head width 64
    (72, 32 or the whole width where that does not divide); a U-ViT's last label is the null class unless a registered model says
    otherwise, and a PixArt's prompts have 120 tokens; a DiT-3D has no windows unless its tables of relative positions tell;
    `input_size` is 0 if there is no position table.
    """
    try:
        params = _of_dit_names(state) if "x_embedder.proj.weight" in state else _uvit(state)
    except (KeyError, ValueError, ConfigError):
        return None
    twin = next((spec.params for spec in SPECS.values() if _same_shapes(spec.params, params)), None)
    return twin or params


def as_kin(found: Params | None, like: Params) -> Params | None:
    """A DiT's numbers as a SiT's, if they are to be like those: shapes do not tell the two apart, nor which way a SiT's time runs."""
    if isinstance(found, SiTParams) and isinstance(like, SiTParams):
        return replace(found, clock=like.clock)
    if type(found) is DiTParams and isinstance(like, SiTParams):
        return SiTParams(**asdict(found), clock=like.clock)
    return found


def told(found: Params, like: Params) -> Params:
    """What `identify` found, with all that shapes cannot tell as in `like`, numbers of the same family."""
    found = as_kin(found, like) or found
    if isinstance(found, DiTParams) and isinstance(like, DiTParams):
        return _of_like(replace(found, compat=like.compat), like)
    if isinstance(found, DiT3DParams) and isinstance(like, DiT3DParams):
        told = replace(found, points=like.points)
        if not found.window and max(like.window_blocks, default=0) < found.depth:
            told = replace(told, window=like.window, window_blocks=like.window_blocks)
        return _of_like(told, like)
    if isinstance(found, UViTParams) and isinstance(like, UViTParams):
        rows = found.label_rows
        null = (like.null_class or not like.classes) and rows > 0
        return _of_like(replace(found, classes=rows - null, null_class=null), like)
    if isinstance(found, PixArtParams) and isinstance(like, PixArtParams):
        told = replace(found, caption_tokens=like.caption_tokens)
        if found.micro_conditions and like.micro_conditions:  # its file's table is never read
            told = replace(told, input_size=like.input_size)
        told = _of_like(told, like)
        return replace(told, interpolation=like.interpolation) if told.input_size == like.input_size else told
    return found


def _of_like(found: P, like: Params) -> P:
    """With `like`'s heads, if it is as wide, and its input size, if the file has none."""
    heads = like.heads if found.width == like.width else found.heads
    return replace(found, heads=heads, input_size=found.input_size or like.input_size)


def describe(params: Params) -> str:
    """The name people give it and the size of its pictures or input: "DiT-B/4 at 256 px"."""
    if isinstance(params, DiT3DParams):
        return f"{title(params)} on {params.input_size}^3 voxels"
    spec = registered(params)
    at = f" at {spec.image_size} px" if spec else f" with input {params.input_size}" if params.input_size else ""
    return title(params) + at


def title(params: Params) -> str:
    """The name people give it, "DiT-B/4", or its numbers where it has none."""
    spec = registered(params)
    family = FAMILY_NAMES[family_of(params)]
    if isinstance(params, UViTParams):
        size = UVIT_SIZES.get((params.width, params.depth))
    else:
        size = next((name.upper() for name, numbers in SIZES_OF[family_of(params)].items() if numbers == _numbers(params)), None)
    inside = "" if params.mlp_ratio == PUBLISHED_RATIO else f", MLP {params.mlp_ratio:g} times as wide"
    if size and not inside:
        return f"{family}-{size}/{params.patch}"
    return spec.name if spec else f"{family} of width {params.width}, depth {params.depth}, patch {params.patch}{inside}"


def registered(params: Params) -> ModelSpec | None:
    """The registered model with these numbers, whichever equations it runs with."""
    return next((spec for spec in SPECS.values() if spec.params == _official(params)), None)


def _official(params: Params) -> Params:
    return replace(params, compat="official") if isinstance(params, DiTParams) else params


def _numbers(params: Params) -> dict[str, int]:
    return {"width": params.width, "depth": params.depth, "heads": params.heads}


def _of_dit_names(state: Mapping[str, Tensor]) -> DiTParams | DiT3DParams | PixArtParams:
    if "t_block.1.weight" in state:
        return _pixart(state)
    return _dit3d(state) if state["x_embedder.proj.weight"].ndim == 5 else _dit(state)


def _dit(state: Mapping[str, Tensor]) -> DiTParams:
    width, channels, patch, _ = state["x_embedder.proj.weight"].shape
    depth = depth_of(state, "blocks")
    params = DiTParams(
        width=width,
        depth=depth,
        heads=_heads(width, depth),
        patch=patch,
        input_size=isqrt(state["pos_embed"].shape[1]) * patch if "pos_embed" in state else UNKNOWN,
        channels=channels,
        classes=state["y_embedder.embedding_table.weight"].shape[0] - 1,
        learn_sigma=state["final_layer.linear.weight"].shape[0] == 2 * channels * patch**2,
        mlp_ratio=_mlp_ratio(state["blocks.0.mlp.fc1.weight"]),
    )
    return SiTParams(**asdict(params), qk_norm=True) if "blocks.0.attn.q_norm.weight" in state else params


def _dit3d(state: Mapping[str, Tensor]) -> DiT3DParams:
    width, channels, patch, *_ = state["x_embedder.proj.weight"].shape
    depth = depth_of(state, "blocks")
    grid = round(state["pos_embed"].shape[1] ** (1 / 3))
    tables = {block: state.get(f"blocks.{block}.attn.rel_pos_x") for block in range(depth)}
    windows = {block: (len(table) + 1) // 2 for block, table in tables.items() if table is not None and len(table) < 2 * grid - 1}
    return DiT3DParams(
        width=width,
        depth=depth,
        heads=_heads(width, depth),
        patch=patch,
        input_size=grid * patch,
        channels=channels,
        classes=state["y_embedder.embedding_table.weight"].shape[0] - 1,
        learn_sigma=state["final_layer.linear.weight"].shape[0] == 2 * channels * patch**3,
        window=max(windows.values(), default=0),
        window_blocks=tuple(windows),
        relative_positions=tables[0] is not None,
        mlp_ratio=_mlp_ratio(state["blocks.0.mlp.fc1.weight"]),
    )


def _pixart(state: Mapping[str, Tensor]) -> PixArtParams:
    width, channels, patch, _ = state["x_embedder.proj.weight"].shape
    depth = depth_of(state, "blocks")
    input_size = isqrt(state["pos_embed"].shape[1]) * patch if "pos_embed" in state else UNKNOWN
    return PixArtParams(
        width=width,
        depth=depth,
        heads=_heads(width, depth),
        patch=patch,
        input_size=input_size,
        channels=channels,
        caption_width=state["y_embedder.y_proj.fc1.weight"].shape[1],
        micro_conditions="csize_embedder.mlp.0.weight" in state,
        interpolation=default_interpolation(input_size),
        learn_sigma=state["final_layer.linear.weight"].shape[0] == 2 * channels * patch**2,
        mlp_ratio=_mlp_ratio(state["blocks.0.mlp.fc1.weight"]),
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
        mlp_ratio=_mlp_ratio(state["mid_block.mlp.fc1.weight"]),
    )


def _mlp_ratio(first_layer: Tensor) -> float:
    """How many times as wide as the network its MLPs are."""
    inside, width = first_layer.shape
    return inside / width


def _heads(width: int, depth: int) -> int:
    known = next((spec.params.heads for spec in SPECS.values() if (spec.params.width, spec.params.depth) == (width, depth)), None)
    return known or next((width // head for head in (64, 72, 32) if width % head == 0), 1)


def same_network(known: Params, found: Params) -> bool:
    """Whether two PixArts differ in their positions' interpolation only, which no file of weights tells."""
    return (
        isinstance(known, PixArtParams) and isinstance(found, PixArtParams) and replace(found, interpolation=known.interpolation) == known
    )


def _same_shapes(known: Params, found: Params) -> bool:
    """Whether a file cannot tell the two apart."""
    if isinstance(known, UViTParams) and isinstance(found, UViTParams):
        same_labels = known.label_rows == found.label_rows
        return same_labels and replace(found, classes=known.classes, null_class=known.null_class) == known
    if isinstance(known, PixArtParams) and isinstance(found, PixArtParams):
        found = replace(found, caption_tokens=known.caption_tokens, interpolation=known.interpolation)
        if known.micro_conditions:  # its file's table is never read
            found = replace(found, input_size=known.input_size)
    return known == found
