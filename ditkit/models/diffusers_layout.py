"""DiT weights under diffusers' names, and back.

diffusers repeats the time and label embedding in every block, splits qkv and recomputes the position table.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ditkit.errors import CheckpointError
from ditkit.files.tensors import State
from ditkit.models.diffusers_config import Config, Wording
from ditkit.models.dit import DiTParams
from ditkit.nn.embed import sincos_positions_2d

OUTSIDE = {"x_embedder.proj": "pos_embed.proj", "final_layer.adaLN_modulation.1": "proj_out_1", "final_layer.linear": "proj_out_2"}
IN_BLOCK = {
    "adaLN_modulation.1": "norm1.linear",
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
REPEATED = {
    "t_embedder.mlp.0": "norm1.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "norm1.emb.timestep_embedder.linear_2",
    "y_embedder.embedding_table": "norm1.emb.class_embedder.embedding_table",
}
QKV = ("attn1.to_q", "attn1.to_k", "attn1.to_v")
KINDS = ("weight", "bias")
HONOURED = (
    *("num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "num_layers", "sample_size", "patch_size"),
    "num_embeds_ada_norm",
)
FIXED: dict[str, tuple[Any, ...]] = {
    "attention_bias": (True,),
    "activation_fn": ("gelu-approximate",),
    "norm_type": ("ada_norm_zero",),
    "norm_elementwise_affine": (False,),
    "norm_eps": (1e-5, 1e-6),  # diffusers' own and the published equations': `compat` says which
    "upcast_attention": (False, True),  # attention is exact either way
}


def is_diffusers_dit(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the keys of diffusers' DiTTransformer2DModel."""
    return "pos_embed.proj.weight" in state and "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight" in state


def depth_of(state: Mapping[str, Tensor], blocks: str) -> int:
    """How many blocks named `blocks`.0, `blocks`.1 ... there are."""
    numbers = {int(match[1]) for name in state if (match := re.match(re.escape(blocks) + r"\.(\d+)\.", name))}
    return len(numbers)


def to_official(state: Mapping[str, Tensor]) -> State:
    """The same weights under the published names, without the position table. Keys of neither layout are kept for the loader to report.

    Raises `CheckpointError` where the copies of an embedding differ between blocks: no published DiT has that.
    """
    rest = dict(state)
    official: State = {}

    def move(old: str, new: str) -> None:
        for kind in KINDS:
            if f"{old}.{kind}" in rest:
                official[f"{new}.{kind}"] = rest.pop(f"{old}.{kind}")

    for new, old in OUTSIDE.items():
        move(old, new)
    for index in range(depth_of(state, "transformer_blocks")):
        theirs, ours = f"transformer_blocks.{index}", f"blocks.{index}"
        for new, old in IN_BLOCK.items():
            move(f"{theirs}.{old}", f"{ours}.{new}")
        for kind in KINDS:
            parts = [f"{theirs}.{part}.{kind}" for part in QKV]
            if all(part in rest for part in parts):
                official[f"{ours}.attn.qkv.{kind}"] = torch.cat([rest.pop(part) for part in parts])
        for new, old in REPEATED.items():
            for kind in KINDS:
                _keep_the_first(rest, f"{theirs}.{old}.{kind}", official, f"{new}.{kind}", index)
    return {**official, **rest}


def _keep_the_first(rest: State, old: str, official: State, new: str, index: int) -> None:
    if old not in rest:
        return
    value = rest.pop(old)
    if index and not value.is_meta and not torch.equal(value, official.get(new, value)):
        raise CheckpointError(f"{new} differs between blocks 0 and {index}; a DiT has one embedding for all blocks")
    official.setdefault(new, value)


def to_diffusers(state: Mapping[str, Tensor]) -> State:
    """Weights under the published names, renamed for diffusers; the position table is left out."""
    theirs: State = {}

    def move(old: str, new: str) -> None:
        for kind in KINDS:
            if f"{old}.{kind}" in state:
                theirs[f"{new}.{kind}"] = state[f"{old}.{kind}"]

    for old, new in OUTSIDE.items():
        move(old, new)
    for index in range(depth_of(state, "blocks")):
        block = f"transformer_blocks.{index}"
        for old, new in IN_BLOCK.items():
            move(f"blocks.{index}.{old}", f"{block}.{new}")
        for old, new in REPEATED.items():
            move(old, f"{block}.{new}")
        for kind in KINDS:
            rows = state[f"blocks.{index}.attn.qkv.{kind}"].chunk(3)
            theirs |= {f"{block}.{part}.{kind}": value for part, value in zip(QKV, rows, strict=True)}
    return theirs


def to_config(params: DiTParams) -> dict[str, Any]:
    """What diffusers writes into config.json."""
    return {
        "_class_name": "DiTTransformer2DModel",
        "num_attention_heads": params.heads,
        "attention_head_dim": params.width // params.heads,
        "in_channels": params.channels,
        "out_channels": params.out_channels,
        "num_layers": params.depth,
        "sample_size": params.input_size,
        "patch_size": params.patch,
        "num_embeds_ada_norm": params.classes,
        "attention_bias": True,
        "activation_fn": "gelu-approximate",
        "norm_type": "ada_norm_zero",
        "norm_elementwise_affine": False,
    }


def from_config(config: Config) -> DiTParams:
    """The numbers in diffusers' config.json; raises `CheckpointError` if it describes no DiT, or one that ditkit cannot run."""
    said = Wording(config, "DiT")
    channels, heads = said.number("in_channels"), said.number("num_attention_heads")
    size, patch = said.sides()
    params = DiTParams(
        width=heads * said.number("attention_head_dim"),
        depth=said.number("num_layers"),
        heads=heads,
        patch=patch,
        input_size=size,
        channels=channels,
        classes=said.number("num_embeds_ada_norm"),
        learn_sigma=said.learns_sigma(channels),
    )
    said.check(HONOURED, FIXED)
    return params


def position_table(params: DiTParams) -> Tensor:
    grid = params.input_size // params.patch
    return sincos_positions_2d(params.width, grid, grid)
