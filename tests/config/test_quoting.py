"""Any text survives the way through quoting, Hydra's grammar and OmegaConf."""

import random

import pytest

from ditkit.config.compose import compose
from ditkit.config.quoting import quoted
from ditkit.config.schema import SampleConfig

AWKWARD = [
    "a b",
    "a=b,c",
    "it's",
    'say "hi"',
    "${model}",
    "\\${model}",
    "a\\",
    "\\'",
    "[1,2]",
    "{a: 1}",
    "null",
    "20",
    "été/猫",
    "#no",
    "$HOME",
    "a:b",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_a_quoted_text_comes_back_as_it_was(text: str):
    assert compose(SampleConfig, [f"weights={quoted(text)}"]).weights == text


def test_random_texts_of_special_characters_come_back_in_a_list():
    source = random.Random(0)
    texts = ["".join(source.choices("\\'\"${},=a é[]:#~+", k=source.randint(0, 8))) for _ in range(300)]
    assert compose(SampleConfig, [f"classes=[{','.join(map(quoted, texts))}]"]).classes == texts
