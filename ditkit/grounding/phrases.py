"""Which tokens of its prompt a phrase is."""

import unicodedata
from collections.abc import Sequence

from ditkit.errors import RequestError
from ditkit.grounding.layout import Layout
from ditkit.grounding.rules import Rules
from ditkit.text.spans import Pieces, phrase_tokens


def tokens_of(layout: Layout, pieces: Pieces, rules: Rules, tokens: int) -> tuple[tuple[int, ...], ...]:
    """The tokens of every phrase, of all its occurrences together; raises `RequestError` for one that is not among the `tokens` read."""
    if rules.between_words:
        return tuple(phrase_tokens(layout.prompt, phrase.text, pieces, tokens) for phrase in layout.phrases)
    prompt = pieces(layout.prompt)[: tokens - 1]
    return tuple(_runs(prompt, pieces(phrase.text), phrase.text) for phrase in layout.phrases)


def check_words(layout: Layout) -> None:
    """Raise `RequestError` for a phrase whose letters are not in the prompt, which needs no text encoder; `tokens_of` has the last word."""
    prompt = _plain(layout.prompt)
    for phrase in layout.phrases:
        if _plain(phrase.text) not in prompt:
            raise RequestError(f"the phrase '{phrase.text}' is not in the prompt '{layout.prompt}'; copy it from the prompt")


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _runs(prompt: Sequence[str], phrase: Sequence[str], text: str) -> tuple[int, ...]:
    """Published: wherever the phrase's tokens follow each other in the prompt."""
    starts = [
        start for start in range(len(prompt) - len(phrase) + 1) if phrase and list(prompt[start : start + len(phrase)]) == list(phrase)
    ]
    if not starts:
        raise RequestError(f"the tokens of the phrase '{text}' are not in the prompt one after the other; copy it from the prompt")
    return tuple(sorted({start + offset for start in starts for offset in range(len(phrase))}))
