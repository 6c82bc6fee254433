"""In place of a text encoder: random features, so that speed and memory can be measured without its gigabytes.

Shapes: U prompts, L tokens, F features.
"""

import zlib
from collections.abc import Sequence

import torch

from ditkit.text.encoder import EncoderSpec, TextFeatures

RANDOM = "random"


def pieces(text: str) -> list[str]:
    """A token for each word, as sentencepiece writes one that begins a word."""
    return [f"▁{word}" for word in text.lower().split()]


def encode(prompts: Sequence[str], spec: EncoderSpec) -> TextFeatures:
    """Features that only depend on the prompt, with a token for each word and the one that ends a prompt."""
    features, mask = torch.empty(len(prompts), spec.tokens, spec.width), torch.zeros(len(prompts), spec.tokens, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        features[row] = torch.randn(spec.tokens, spec.width, generator=torch.Generator().manual_seed(zlib.crc32(prompt.encode())))
        mask[row, : len(pieces(prompt)) + 1] = 1
    return TextFeatures(features, mask)
