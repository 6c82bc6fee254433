"""Training a LoRA (Hu et al. 2021, arXiv 2106.09685): the layers of the blocks stay as they are, low-rank changes beside them learn.

Shapes: O outputs, I inputs of a layer, R rank.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.files.atomic import write_atomically
from ditkit.files.tensors import State, write_tensors
from ditkit.models.adapters import diffusers_names
from ditkit.models.spec import Params

DOWN, UP = "lora_A", "lora_B"  # PEFT's names
TARGETS = ("attn", "cross_attn", "mlp")  # the parts of a block whose linear layers are changed


class LoraLinear(nn.Linear):
    """A linear layer and alpha / R times the product of two matrices, of which `lora_B` (O, R) starts as 0 and `lora_A` (R, I) random."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.strength = alpha / rank
        self.lora_A = nn.Parameter(torch.randn(rank, layer.in_features) * layer.in_features**-0.5)
        self.lora_B = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias) + self.strength * F.linear(F.linear(input, self.lora_A), self.lora_B)


def add_lora(module: nn.Module, rank: int, alpha: float) -> None:
    """Leave only low-rank changes of the blocks' attention and MLP to be trained."""
    module.requires_grad_(False)
    for block in [part for layers in module.modules() if isinstance(layers, nn.ModuleList) for part in layers]:
        for name, part in list(block.named_children()):
            if name in TARGETS:
                for child, layer in list(part.named_children()):
                    if isinstance(layer, nn.Linear):
                        setattr(part, child, LoraLinear(layer, rank, alpha))


def without_lora(state: Mapping[str, Tensor], alpha: float) -> State:
    """The same network with its changes merged; a state without any is as it was."""
    whole = {name: value for name, value in state.items() if not name.endswith((DOWN, UP))}
    for layer, down_RI, up_OR in _changes(state):
        whole[f"{layer}.weight"] = whole[f"{layer}.weight"] + alpha / len(down_RI) * (up_OR @ down_RI)
    return whole


def save_lora(state: Mapping[str, Tensor], folder: Path, params: Params, alpha: float) -> None:
    """The changes in a state as a folder that PEFT loads (adapter_model.safetensors) and, of what diffusers has, diffusers too.

    The layers are called by diffusers' names where it has the network: a change of joined rows is one for each part, with the same
    `lora_A`.
    """
    names, tensors, rank = diffusers_names(params), dict[str, Tensor](), 0
    for layer, down_RI, up_OR in _changes(state):
        rank = len(down_RI)
        parts = names.get(layer, (layer,))
        for part, up in zip(parts, up_OR.chunk(len(parts)), strict=True):
            tensors |= {f"{part}.{DOWN}.weight": down_RI, f"{part}.{UP}.weight": up}
    layers = sorted({name.rsplit(".", 2)[0] for name in tensors})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": layers, "bias": "none", "lora_dropout": 0.0}
    write_tensors(folder / "adapter_model.safetensors", {f"base_model.model.{name}": value for name, value in tensors.items()})
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(folder / "adapter_config.json", lambda part: part.write_text(text, encoding="utf-8"))
    if names:
        words = {"lora_adapter_metadata": json.dumps({f"transformer.{name}": value for name, value in config.items()})}
        write_tensors(folder / "pytorch_lora_weights.safetensors", {f"transformer.{name}": value for name, value in tensors.items()}, words)


def _changes(state: Mapping[str, Tensor]) -> list[tuple[str, Tensor, Tensor]]:
    layers = [name.removesuffix(f".{DOWN}") for name in state if name.endswith(f".{DOWN}")]
    return [(layer, state[f"{layer}.{DOWN}"], state[f"{layer}.{UP}"]) for layer in layers]
