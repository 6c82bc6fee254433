"""What a network that is asked in words is told: prompts, as a text encoder, the blocks and one evaluation see them.

Shapes: N any leading shape of conditioning, L prompt tokens, F prompt features, M blocks, D width, H heads, K head width.
"""

from typing import NamedTuple

from torch import Tensor


class Prompts(NamedTuple):
    """What a text encoder makes of prompts, and how large their pictures are.

    `features` (N, L, F); `mask` (N, L) is 1 for tokens that count and 0 for padding; `sizes` (N, 3), for a network with
    micro-conditions: height and width in pixels, and height / width (the published sampler rounds this one to its bin's name).
    """

    features: Tensor
    mask: Tensor
    sizes: Tensor | None = None


class PromptKeys(NamedTuple):
    """Prompts as the blocks read them: keys and values (N, M, H, L, K), their logits' bias (N, 1, 1, L), their sizes' embedding (N, D)."""

    keys: Tensor
    values: Tensor
    bias: Tensor
    size: Tensor | None


class PixArtConditioning(NamedTuple):
    """What one evaluation needs of time and prompt; in `vectors` (N, 6 per block + 2, 1, D) adaLN's, as for DiT."""

    vectors: Tensor
    keys: Tensor
    values: Tensor
    bias: Tensor
