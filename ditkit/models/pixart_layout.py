"""PixArt weights under diffusers' names, and back.

diffusers splits qkv and the prompt's kv, and recomputes the position table. The published files also hold a null caption, which
diffusers' do not: ditkit guides away from an encoded prompt (the empty one), as diffusers does, and drops it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ditkit.files.tensors import State
from ditkit.models.diffusers_config import Config, Wording
from ditkit.models.diffusers_layout import depth_of
from ditkit.models.pixart import PixArtParams

NULL_CAPTION = "y_embedder.y_embedding"
OUTSIDE = {
    "x_embedder.proj": "pos_embed.proj",
    "y_embedder.y_proj.fc1": "caption_projection.linear_1",
    "y_embedder.y_proj.fc2": "caption_projection.linear_2",
    "t_embedder.mlp.0": "adaln_single.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "adaln_single.emb.timestep_embedder.linear_2",
    "csize_embedder.mlp.0": "adaln_single.emb.resolution_embedder.linear_1",
    "csize_embedder.mlp.2": "adaln_single.emb.resolution_embedder.linear_2",
    "ar_embedder.mlp.0": "adaln_single.emb.aspect_ratio_embedder.linear_1",
    "ar_embedder.mlp.2": "adaln_single.emb.aspect_ratio_embedder.linear_2",
    "t_block.1": "adaln_single.linear",
    "final_layer.linear": "proj_out",
}
IN_BLOCK = {
    "attn.qkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"),
    "attn.proj": ("attn1.to_out.0",),
    "cross_attn.q_linear": ("attn2.to_q",),
    "cross_attn.kv_linear": ("attn2.to_k", "attn2.to_v"),
    "cross_attn.proj": ("attn2.to_out.0",),
    "mlp.fc1": ("ff.net.0.proj",),
    "mlp.fc2": ("ff.net.2",),
}

HONOURED = (
    *("num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "num_layers", "sample_size", "patch_size"),
    *("caption_channels", "use_additional_conditions", "interpolation_scale"),
)
FIXED: dict[str, tuple[Any, ...]] = {
    "attention_bias": (True,),
    "activation_fn": ("gelu-approximate",),
    "norm_type": ("ada_norm_single",),
    "norm_elementwise_affine": (False,),
    "norm_eps": (1e-6,),
    "attention_type": ("default",),
    "num_embeds_ada_norm": (1000,),  # a default of diffusers' that a network without labels does not use
    "upcast_attention": (False, True),  # attention is exact either way
}


def is_diffusers_pixart(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the keys of diffusers' PixArtTransformer2DModel, which was once a Transformer2DModel."""
    return "adaln_single.linear.weight" in state and "caption_projection.linear_1.weight" in state


def names(depth: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every published name of a PixArt with micro-conditions, beside diffusers' name; several where it joins their rows in this order."""
    for kind in ("weight", "bias"):
        for ours, theirs in OUTSIDE.items():
            yield f"{ours}.{kind}", (f"{theirs}.{kind}",)
        for block in range(depth):
            for ours, parts in IN_BLOCK.items():
                yield f"blocks.{block}.{ours}.{kind}", tuple(f"transformer_blocks.{block}.{part}.{kind}" for part in parts)
    yield "final_layer.scale_shift_table", ("scale_shift_table",)
    for block in range(depth):
        yield f"blocks.{block}.scale_shift_table", (f"transformer_blocks.{block}.scale_shift_table",)


def to_official(state: Mapping[str, Tensor]) -> State:
    """The same weights under the published names, without the position table. Keys of neither layout are kept for the loader to report."""
    rest = dict(state)
    official: State = {}
    for ours, theirs in names(depth_of(state, "transformer_blocks")):
        if all(name in rest for name in theirs):
            parts = [rest.pop(name) for name in theirs]
            official[ours] = torch.cat(parts) if len(parts) > 1 else parts[0]
    return {**official, **rest}


def to_diffusers(state: Mapping[str, Tensor]) -> State:
    """Weights under the published names, renamed for diffusers; the position table is left out."""
    theirs: State = {}
    for ours, parts in names(depth_of(state, "blocks")):
        if ours in state:
            theirs |= zip(parts, state[ours].chunk(len(parts)), strict=True)
    return theirs


def to_config(params: PixArtParams) -> dict[str, Any]:
    """What diffusers writes into config.json."""
    return {
        "_class_name": "PixArtTransformer2DModel",
        "num_attention_heads": params.heads,
        "attention_head_dim": params.width // params.heads,
        "in_channels": params.channels,
        "out_channels": params.out_channels,
        "num_layers": params.depth,
        "cross_attention_dim": params.width,
        "caption_channels": params.caption_width,
        "sample_size": params.input_size,
        "patch_size": params.patch,
        "interpolation_scale": params.interpolation,
        "use_additional_conditions": params.micro_conditions,
        "attention_bias": True,
        "activation_fn": "gelu-approximate",
        "norm_type": "ada_norm_single",
        "norm_elementwise_affine": False,
        "norm_eps": 1e-6,
    }


def from_config(config: Config) -> PixArtParams:
    """The numbers in diffusers' config.json; raises `CheckpointError` if it describes no PixArt, or one that ditkit cannot run.

    Left out, the interpolation and the micro-conditions follow from the size, as diffusers has them.
    """
    said = Wording(config, "PixArt")
    channels, heads = said.number("in_channels"), said.number("num_attention_heads")
    size, patch = said.sides()
    told = config.get("use_additional_conditions")
    params = PixArtParams(
        width=heads * said.number("attention_head_dim"),
        depth=said.number("num_layers"),
        heads=heads,
        patch=patch,
        input_size=size,
        channels=channels,
        caption_width=said.number("caption_channels"),
        micro_conditions=size == 128 if told is None else bool(told),
        interpolation=said.optional("interpolation_scale") or default_interpolation(size),
        learn_sigma=said.learns_sigma(channels),
    )
    said.check(HONOURED, {**FIXED, "cross_attention_dim": (params.width,)})
    return params


def default_interpolation(input_size: int) -> float:
    """What the positions of latents of that side are divided by unless somebody says otherwise."""
    return float(max(input_size // 64, 1))
