"""A network that is asked in words, together with the text encoder that learns with it.

Shapes: B batch, L tokens of a caption.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ditkit.files.tensors import State
from ditkit.models.prompts import Prompts
from ditkit.text.vocabulary import END, PAD

NETWORK, ENCODER = "backbone.", "text."


class Prompted(nn.Module):
    """Its labels are the numbers of a caption's tokens (B, L); everything else is the network's."""

    def __init__(self, backbone: nn.Module, text: nn.Module) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.text: Any = text

    @property
    def slow(self) -> nn.Module:
        """What says the words: to blocks that cannot listen yet they are noise, and at the full rate it is silenced before they can."""
        return nn.ModuleList([self.text, self.backbone.y_embedder])

    def null(self, y_BL: Tensor) -> Tensor:
        """The empty caption: the token that ends it, then padding."""
        empty = torch.full_like(y_BL, PAD)
        empty[:, 0] = END
        return empty

    def condition(self, t_B: Tensor, y_BL: Tensor) -> Any:
        mask = (y_BL != PAD).long()
        features = self.text(input_ids=y_BL, attention_mask=mask).last_hidden_state
        return self.backbone.condition(t_B, self.backbone.prepare(Prompts(features, mask)))

    def forward(self, x: Tensor, conditioning: Any) -> Tensor:
        return self.backbone(x, conditioning)


def parts(state: State) -> tuple[State, State]:
    """The weights of the network and those of the text encoder, each under its own names."""
    network, encoder = (
        {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)} for part in (NETWORK, ENCODER)
    )
    return network, encoder
