"""A small T5 whose vocabulary is whole words, trained together with a model; on disk it is a folder like the large one's.

Shapes: U prompts, L tokens, F features.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ditkit.files.atomic import write_atomically
from ditkit.files.tensors import write_tensors
from ditkit.text.vocabulary import END, PAD, SPIECE

if TYPE_CHECKING:
    from transformers import T5EncoderModel

SIZES: dict[str, dict[str, Any]] = {
    "t5-emoji": {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 3, "num_heads": 4, "feed_forward_proj": "gated-gelu"},
}
"""What T5's config.json says of the encoders that ditkit trains: those of its version 1.1, much smaller."""

UNKNOWN = 2  # T5's `<unk>`
PUNCTUATION = ",."
LINE = ascii_lowercase  # each letter is a token too, so that an unknown word is read as letters


def word_vocabulary(words: Sequence[str]) -> bytes:
    """A sentencepiece model with a token for each word, for punctuation and for letters."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(  # pyright: ignore[reportAttributeAccessIssue]
        sentence_iterator=iter([LINE]),
        model_writer=model,
        user_defined_symbols=[*(f"▁{word}" for word in words), *PUNCTUATION],
        vocab_size=len(words) + 1000,
        hard_vocab_limit=False,
        pad_id=PAD,
        eos_id=END,
        unk_id=UNKNOWN,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def fresh_encoder(name: str, vocabulary_size: int) -> "T5EncoderModel":
    """The encoder with random weights, without dropout: a training step is a function of weights and step alone."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(vocab_size=vocabulary_size, dropout_rate=0.0, **SIZES[name]))


def save_encoder(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], vocabulary: bytes) -> None:
    """Write config.json, model.safetensors in float16 and spiece.model. The token table, which has two names, is written once."""
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    write_atomically(folder / "config.json", lambda part: part.write_text(text, encoding="utf-8"))
    write_atomically(folder / SPIECE, lambda part: part.write_bytes(vocabulary))
    kept = {name: value for name, value in state.items() if name != "encoder.embed_tokens.weight"}
    write_tensors(folder / "model.safetensors", kept, dtype=torch.float16)
