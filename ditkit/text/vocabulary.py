"""T5's tokens, by the library that made them: sentencepiece's spiece.model, or the tokenizer.json that transformers writes.

Shapes: U prompts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ditkit.errors import CheckpointError
from ditkit.files.mistaken import mistaken
from ditkit.files.regular import check_regular

SPIECE, TOKENIZER = "spiece.model", "tokenizer.json"
VOCABULARIES = (SPIECE, TOKENIZER)
PAD, END = 0, 1  # T5's `<pad>` and `</s>`


class Words(NamedTuple):
    """A library's way from text to tokens, as text and as numbers, how many there are, and the numbers of padding and end."""

    pieces: Callable[[str], list[str]]
    numbers: Callable[[str], list[int]]
    size: int
    pad: int = PAD
    end: int = END


class Vocabulary:
    """Prompts are read in lower case, without the spaces around them, as PixArt's are."""

    def __init__(self, source: Path | bytes) -> None:
        self._words = _of_transformers(source) if isinstance(source, Path) and source.name == TOKENIZER else _of_sentencepiece(source)

    def __len__(self) -> int:
        return self._words.size

    def pieces(self, text: str) -> list[str]:
        """The tokens as text, a space at the beginning of a word written as "▁"; without the one that ends a prompt."""
        return self._words.pieces(_read(text))

    def encode(self, prompts: Sequence[str], tokens: int) -> tuple[Tensor, Tensor]:
        """Numbers and mask (U, `tokens`) of the prompts, each cut to leave room for the token that ends it."""
        rows = [[*self._words.numbers(_read(prompt))[: tokens - 1], self._words.end] for prompt in prompts]
        numbers = torch.tensor([row + [self._words.pad] * (tokens - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (tokens - len(row)) for row in rows])
        return numbers, mask

    def cut(self, prompt: str, tokens: int) -> str:
        """The end of the prompt that `encode` leaves out; empty if it is read whole."""
        return "".join(self.pieces(prompt)[tokens - 1 :]).replace("▁", " ").strip()

    def warnings(self, prompts: Sequence[str], tokens: int) -> list[str]:
        """One line about every prompt that is too long, with what is cut off."""
        lost = {prompt: self.cut(prompt, tokens) for prompt in dict.fromkeys(prompts)}
        return [
            f"a prompt has {len(self.pieces(prompt))} tokens and {tokens - 1} are read; cut off is: '{end}'"
            for prompt, end in lost.items()
            if end
        ]


def _read(text: str) -> str:
    return text.lower().strip()


def _of_sentencepiece(source: Path | bytes) -> Words:
    from sentencepiece import SentencePieceProcessor

    _check(source)
    given: dict[str, Any] = {"model_proto": source} if isinstance(source, bytes) else {"model_file": str(source)}
    try:
        made: Any = SentencePieceProcessor(**given)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{source} is not a vocabulary of sentencepiece: {str(error).partition(chr(10))[0][:120]}") from error
    return Words(lambda text: made.encode(text, out_type=str), lambda text: made.encode(text, out_type=int), made.get_piece_size())


def _of_transformers(source: Path) -> Words:
    from tokenizers import Tokenizer

    _check(source)
    try:
        made: Any = Tokenizer.from_file(str(source))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"{source} is not a tokenizer of transformers: {str(error).partition(chr(10))[0][:120]}") from error
    made.no_truncation()
    made.no_padding()
    pad, end = made.token_to_id("<pad>"), made.token_to_id("</s>")
    if pad is None or end is None:
        raise CheckpointError(f"{source} is not the tokenizer of a T5: it has no {'</s>' if end is None else '<pad>'}")

    def encode(text: str) -> Any:
        return made.encode(text, add_special_tokens=False)

    return Words(lambda text: encode(text).tokens, lambda text: encode(text).ids, made.get_vocab_size(), pad, end)


def _check(source: Path | bytes) -> None:
    """Raise `CheckpointError` for a file that stands in place of another."""
    if isinstance(source, bytes):
        return
    check_regular(source, CheckpointError)
    instead = mistaken(source) if source.is_file() else None
    if instead:
        raise CheckpointError(f"{source} {instead}")
