import re

import pytest

from ditkit.errors import RequestError
from ditkit.text.spans import phrase_tokens
from tests.golden_files import golden_json


def words(text: str) -> list[str]:
    """A token for every word and every mark."""
    return [f"▁{word}" if before else word for before, word in re.findall(r"(^|\s+)?([\w-]+|[^\w\s])", " " + text.lower().strip())]


def halves(text: str) -> list[str]:
    """Two tokens for every word of more than two letters."""
    return [part for word in words(text) for part in ((word[:3], word[3:]) if len(word) > 3 else (word,))]


def test_the_tokens_are_those_that_groundit_finds() -> None:
    for case in golden_json("groundit_box_utils")["phrases"]:
        assert [piece.strip("▁") for piece in words(case["prompt"])] == case["prompt_tokens"][:-1]
        found = [list(phrase_tokens(case["prompt"], phrase, words)) for phrase in case["phrases"]]
        assert found == case["indices"]


def test_all_tokens_of_a_word_and_all_occurrences_count() -> None:
    prompt = "A hot dog, a dog and hotdogs"
    assert halves(prompt) == ["▁a", "▁ho", "t", "▁do", "g", ",", "▁a", "▁do", "g", "▁an", "d", "▁ho", "tdogs"]
    assert phrase_tokens(prompt, "hot dog", halves) == (1, 2, 3, 4)
    assert phrase_tokens(prompt, " Dog ", halves) == (3, 4, 7, 8)
    assert phrase_tokens(prompt, "dog,", halves) == (3, 4, 5)


def test_a_token_that_is_only_the_space_before_a_word_belongs_to_it() -> None:
    def pieces(text: str) -> list[str]:
        return [part for word in text.split() for part in ("▁", word)]

    assert phrase_tokens("a green über cat", "über", pieces) == (4, 5)
    assert phrase_tokens("a green über cat", "a", pieces) == (0, 1)


def test_occurrences_that_overlap_are_found() -> None:
    assert phrase_tokens("red red red", "red red", words) == (0, 1, 2)


@pytest.mark.parametrize("phrase", ["cat", "two cat", "ats", "cats, two dog"])
def test_a_part_of_a_word_is_no_phrase(phrase: str) -> None:
    with pytest.raises(
        RequestError, match=f"^the phrase '{phrase}' is not in the prompt 'two cats, two dogs', only inside longer words; copy"
    ):
        phrase_tokens("two cats, two dogs", phrase, words)


def test_a_phrase_that_is_nowhere_is_an_error_in_one_line() -> None:
    with pytest.raises(RequestError, match="^the phrase 'sun' is not in the prompt 'a cat'; copy it from the prompt$"):
        phrase_tokens("a cat", "sun", words)
    with pytest.raises(RequestError, match="^a phrase is empty; copy it from the prompt$"):
        phrase_tokens("a cat", "  ", words)


def test_what_is_cut_off_is_not_found() -> None:
    prompt = "a dog and a cat and a dog"
    assert phrase_tokens(prompt, "dog", words, tokens=9) == (1, 7)
    assert phrase_tokens(prompt, "dog", words, tokens=8) == (1,)
    with pytest.raises(RequestError, match="^the phrase 'cat' comes after the first 4 tokens of its prompt, which are all that is read$"):
        phrase_tokens(prompt, "cat", words, tokens=5)


def test_letters_with_a_meaning_in_patterns_are_letters() -> None:
    assert phrase_tokens("what? a (cat)", "(cat)", words) == (3, 4, 5)
    with pytest.raises(RequestError, match=r"the phrase 'c\.t' is not"):
        phrase_tokens("a cat", "c.t", words)
