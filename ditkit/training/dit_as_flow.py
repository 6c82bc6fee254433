"""From a DiT's weights to a flow's first ones: the same network, told the same levels, that answers with minus the noise.

Of the velocity, clean sample minus noise on the linear path, that is what a nearly clean sample shows; the rest is learned.

Shapes: P patch positions, C channels, F features of a patch.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ditkit.files.tensors import State
from ditkit.models.sit import SiTParams

FINAL = "final_layer.linear."
TIME = "t_embedder."


def dit_as_flow(dit: Mapping[str, Tensor], params: SiTParams) -> State:
    """The weights under the same names; without the embedding of time, unless the flow's clock is the DiT's levels."""
    state = {name: value for name, value in dit.items() if params.clock == "levels" or not name.startswith(TIME)}
    for name in (FINAL + "weight", FINAL + "bias"):
        rows_PF = dit[name].unflatten(0, (params.patch**2, -1))  # of each position the noise's channels, then the variance's
        noise = -rows_PF[:, : params.channels]
        rest = rows_PF[:, params.channels :] * 0  # as SiT's training leaves them
        parts = [noise, rest] if params.learn_sigma else [noise]
        state[name] = torch.cat(parts, 1).flatten(0, 1)
    return state
