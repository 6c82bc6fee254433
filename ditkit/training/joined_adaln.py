"""From a DiT's adaLN of each block to PixArt's one for all blocks with a table for each (Chen et al. 2023, section 2.3).

Shapes: N times, M blocks, D width.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ditkit.files.tensors import State
from ditkit.nn.embed import TimeEmbedding

TIMES = 1000
ADALN = "adaLN_modulation.1."


def joined_adaln(dit: Mapping[str, Tensor], depth: int) -> State:
    """A DiT's weights under PixArt's names, without what a DiT has not: cross-attention and the projection of captions.

    The label's mean over the classes becomes part of the time's embedding. The shared layer is the mean of the blocks' layers, and a
    block's table is what the block adds to it on average over all times; so is the final layer's, to the embedding itself.
    """
    state = {name: value.float() for name, value in dit.items()}
    kept = {name: value for name, value in state.items() if ADALN not in name and not name.startswith(("y_embedder.", "pos_embed"))}
    kept["t_embedder.mlp.2.bias"] = kept["t_embedder.mlp.2.bias"] + state["y_embedder.embedding_table.weight"][:-1].mean(0)  # no null
    c_ND = _embedded_times(kept)
    weights, biases = (torch.stack([state[f"blocks.{block}.{ADALN}{kind}"] for block in range(depth)]) for kind in ("weight", "bias"))
    weight, bias = weights.mean(0), biases.mean(0)
    mean_D = F.silu(c_ND).mean(0)  # layers are linear: their mean over times is what they make of the mean
    tables = (weights - weight) @ mean_D + biases - bias
    final = state[f"final_layer.{ADALN}weight"] @ mean_D + state[f"final_layer.{ADALN}bias"]
    return {
        **kept,
        "t_block.1.weight": weight,
        "t_block.1.bias": bias,
        **{f"blocks.{block}.scale_shift_table": table.unflatten(0, (6, -1)) for block, table in enumerate(tables)},
        "final_layer.scale_shift_table": final.unflatten(0, (2, -1)) - c_ND.mean(0),
    }


def _embedded_times(state: Mapping[str, Tensor]) -> Tensor:
    """The embeddings (N, D) of all times."""
    embed = TimeEmbedding(len(state["t_embedder.mlp.2.bias"]))
    embed.load_state_dict({name.removeprefix("t_embedder."): value for name, value in state.items() if name.startswith("t_embedder.")})
    with torch.no_grad():
        return embed(torch.arange(TIMES))
