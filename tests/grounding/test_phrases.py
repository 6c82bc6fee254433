import re

import pytest

from ditkit.errors import RequestError
from ditkit.grounding.layout import Box, Layout, Phrase
from ditkit.grounding.phrases import tokens_of
from ditkit.grounding.rules import DEFAULT, PUBLISHED, Rules
from tests.golden_files import golden_json


def words(text: str) -> list[str]:
    """Words and punctuation, as sentencepiece writes those that begin a word."""
    return [piece if piece in ",." else f"▁{piece}" for piece in re.findall(r"\w+|[.,]", text.lower())]


def layout(prompt: str, *phrases: str) -> Layout:
    return Layout(prompt, tuple(Phrase(text, (Box(0, 0, 1, 1),)) for text in phrases))


@pytest.mark.parametrize("rules", [PUBLISHED, DEFAULT])
def test_phrases_are_where_the_published_search_finds_them(rules: Rules) -> None:
    for case in golden_json("groundit_box_utils")["phrases"]:
        found = tokens_of(layout(case["prompt"], *case["phrases"]), words, rules, 120)
        assert [list(places) for places in found] == case["indices"]


def test_runs_of_tokens_and_words_differ_where_a_word_is_several_tokens() -> None:
    def letters(text: str) -> list[str]:
        return list(text.replace(" ", "▁"))

    said = layout("▁hot dogs".strip("▁"), "dog")
    assert tokens_of(said, letters, PUBLISHED, 120) == ((4, 5, 6),)
    with pytest.raises(RequestError, match="^the phrase 'dog' is not in the prompt 'hot dogs', only inside longer words; copy it from"):
        tokens_of(said, letters, DEFAULT, 120)


def test_a_phrase_that_is_missing_is_an_error_whatever_the_rules() -> None:
    with pytest.raises(
        RequestError, match="^the tokens of the phrase 'sun' are not in the prompt one after the other; copy it from the prompt$"
    ):
        tokens_of(layout("a dog", "sun"), words, PUBLISHED, 120)
    with pytest.raises(RequestError, match="^the tokens of the phrase 'dog' are not in the prompt one after the other"):
        tokens_of(layout("a big dog", "dog"), words, PUBLISHED, 3)
