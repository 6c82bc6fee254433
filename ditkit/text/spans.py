"""Which tokens of a prompt a phrase is (GrounDiT ties the attention maps of these to the phrase's boxes)."""

import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from ditkit.errors import RequestError

Pieces = Callable[[str], Sequence[str]]
"""Says the tokens of a text, the first one of a word beginning with "▁"."""


def phrase_tokens(prompt: str, phrase: str, pieces: Pieces, tokens: int = 120) -> tuple[int, ...]:
    """The places, ascending, of the phrase's tokens in the prompt, of all its occurrences together.

    An occurrence begins and ends between words: "cat" is not in "cats". Raises `RequestError` if there is none, or none that lies
    within the `tokens` - 1 tokens that are read.
    """
    words = _text(pieces(phrase)).strip()
    if not words:
        raise RequestError("a phrase is empty; copy it from the prompt")
    of_prompt = pieces(prompt)
    text = _text(of_prompt)
    spans = list(pairwise(accumulate(map(len, of_prompt), initial=0)))
    occurrences = [_covered(match.start(1), match.end(1), spans, text) for match in re.finditer(_between_words(words), text)]
    if not occurrences:
        inside = ", only inside longer words" if words in text else ""
        raise RequestError(f"the phrase '{phrase}' is not in the prompt '{prompt}'{inside}; copy it from the prompt")
    read = [places for places in occurrences if places[-1] < tokens - 1]
    if not read:
        raise RequestError(f"the phrase '{phrase}' comes after the first {tokens - 1} tokens of its prompt, which are all that is read")
    return tuple(sorted({place for places in read for place in places}))


def _text(pieces: Sequence[str]) -> str:
    return "".join(pieces).replace("▁", " ")


def _between_words(words: str) -> str:
    """A pattern whose first group is `words` where no word goes on before or behind; occurrences may overlap."""
    before = r"(?<!\w)" if re.match(r"\w", words) else ""
    behind = r"(?!\w)" if re.search(r"\w$", words) else ""
    return rf"{before}(?=({re.escape(words)}){behind})"


def _covered(start: int, end: int, spans: Sequence[tuple[int, int]], text: str) -> list[int]:
    """The tokens with a letter in [start, end), or with the space before it, which is part of a word's first token."""
    start -= text[start - 1 : start] == " "
    return [place for place, (first, last) in enumerate(spans) if first < end and last > start]
