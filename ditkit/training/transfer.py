"""Starting from the weights of another model: all of them, or what fits of a DiT for a SiT or a PixArt, of a DiT or DiT-3D for a DiT-3D.

Shapes: O outputs and I inputs of a linear layer.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.errors import CheckpointError
from ditkit.files.tensors import State
from ditkit.models.dit import DiTParams
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.identify import describe, identify
from ditkit.models.loading import load_into
from ditkit.models.own_classes import LABEL_TABLES
from ditkit.models.pixart import PixArtParams
from ditkit.models.reading import Checkpoint
from ditkit.models.sit import SiTParams
from ditkit.training.dit_as_flow import TIME, dit_as_flow
from ditkit.training.joined_adaln import joined_adaln

SCALE = ".scale"
CLOSING = ("attn.proj", "mlp.fc2")  # the layers whose output a block adds to its input


class ScaledLinear(nn.Linear):
    """A linear layer with a factor for each of its outputs, 1 at first (Xie et al. 2023, arXiv 2304.06648)."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.scale = nn.Parameter(torch.ones_like(layer.weight[:, 0]))

    def forward(self, input: Tensor) -> Tensor:
        return self.scale * F.linear(input, self.weight, self.bias)


def merged(state: Mapping[str, Tensor]) -> State:
    """The same network without scale factors: each is multiplied into its layer (O, I). A state without any is as it was."""
    scales = {name.removesuffix(SCALE): value for name, value in state.items() if name.endswith(SCALE)}
    whole = {name: value for name, value in state.items() if not name.endswith(SCALE)}
    for layer, scale_O in scales.items():
        whole[f"{layer}.weight"] = whole[f"{layer}.weight"] * scale_O[:, None]
        whole[f"{layer}.bias"] = whole[f"{layer}.bias"] * scale_O
    return whole


def start_from(module: Any, checkpoint: Checkpoint, origin: str) -> frozenset[str]:
    """Give the network the checkpoint's weights; the names of the parameters that stay fresh: a label table of other classes.

    More of them may in a SiT that starts from a DiT (`dit_as_flow`), in a DiT-3D, which takes the blocks of a DiT (Mo et al. 2023, section
    3.4), or all that has the shape it needs from a DiT-3D of another category or grid, and in a PixArt, which takes the blocks, patches and
    time of a DiT (Chen et al. 2023, section 2.3). Raises `CheckpointError` unless the blocks fit.
    """
    params, theirs = module.params, checkpoint.params or identify(checkpoint.state)
    grown = isinstance(params, DiT3DParams) or (isinstance(params, PixArtParams) and isinstance(theirs, DiTParams))
    if not grown:
        own = module.state_dict()
        given, untold = checkpoint.state, frozenset[str]()
        if isinstance(params, SiTParams) and checkpoint.kin and checkpoint.kin.family == "dit":
            given = dit_as_flow(given, params)
            untold = frozenset(name for name in own if name.startswith(TIME) and name not in given)
        fresh = _other_classes(own, given) | untold
        load_into(module, {**given, **{name: own[name] for name in fresh}}, origin)
        return fresh
    if not isinstance(theirs, DiTParams | DiT3DParams):
        raise CheckpointError(f"{origin} is neither a DiT nor a DiT-3D, whose blocks a DiT-3D can start from")
    if theirs.width != params.width or theirs.depth < params.depth:
        sizes = f"{params.depth} of width {params.width}"
        raise CheckpointError(f"{origin} has {theirs.depth} blocks of width {theirs.width}; {describe(params)} needs {sizes}")
    if checkpoint.params and theirs.heads != params.heads:
        raise CheckpointError(f"{origin} was trained with {theirs.heads} attention heads, {describe(params)} has {params.heads}")
    wanted = {name: value for name, value in module.state_dict().items() if name != "pos_embed"}
    of_blocks = isinstance(theirs, DiTParams) and isinstance(params, DiT3DParams)
    source = joined_adaln(checkpoint.state, theirs.depth) if isinstance(params, PixArtParams) else checkpoint.state
    given = {
        name: value
        for name, value in source.items()
        if name in wanted and value.shape == wanted[name].shape and (not of_blocks or name.startswith("blocks."))
    }
    module.load_state_dict({name: value.to(wanted[name].dtype) for name, value in given.items()}, strict=False)
    return frozenset(wanted) - frozenset(given)


def _other_classes(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> frozenset[str]:
    """The name of the label table if the checkpoint's differs in its rows alone."""
    both = [name for name in LABEL_TABLES if name in wanted and name in given]
    return frozenset(name for name in both if wanted[name].shape[1:] == given[name].shape[1:] and len(wanted[name]) != len(given[name]))


def train_lightly(module: nn.Module, fresh: Collection[str] = ()) -> None:
    """Leave only biases, norms, embeddings, what is `fresh`, and a new factor on every block's outputs to be trained (DiffFit)."""
    for block in [part for layers in module.modules() if isinstance(layers, nn.ModuleList) for part in layers]:
        for name in CLOSING:
            parent, _, child = name.rpartition(".")
            owner = block.get_submodule(parent)
            setattr(owner, child, ScaledLinear(getattr(owner, child)))
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(parameter.ndim == 1 or id(parameter) in embeddings or name in fresh)
