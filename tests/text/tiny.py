"""A small T5 with a vocabulary of a few words, in a folder as pipelines have it."""

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ditkit.files.tensors import write_tensors
from ditkit.text.encoder import EncoderSpec

SPEC = EncoderSpec(parameters=1000, width=16, tokens=14, hub="PixArt-alpha/PixArt-XL-2-1024-MS")
CONFIG = {"vocab_size": 64, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 2, "feed_forward_proj": "gated-gelu"}


@cache
def vocabulary() -> bytes:
    from sentencepiece import SentencePieceTrainer

    words = ["a", "two", "the", "hot", "dog", "dogs", "cat", "cats", "sun", "tree", "brown", "and", ",", "."]
    sentences = [" ".join(words[(first * step) % len(words)] for first in range(9)) for step in range(1, 200)]
    model = io.BytesIO()
    SentencePieceTrainer.train(  # pyright: ignore[reportAttributeAccessIssue]
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=60,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def weights(config: dict[str, Any] = CONFIG) -> dict[str, Tensor]:
    from transformers import T5Config, T5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return T5EncoderModel(T5Config(**config)).state_dict()


def write_encoder(folder: Path) -> Path:
    """A pipeline's folder: text_encoder/ and tokenizer/."""
    write_tensors(folder / "text_encoder" / "model.safetensors", weights())
    (folder / "text_encoder" / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer" / "spiece.model").write_bytes(vocabulary())
    return folder
