from dataclasses import fields

import pytest

from ditkit.config.schema import RulesConfig
from ditkit.errors import ConfigError, UnknownName
from ditkit.grounding.rules import DEFAULT, FAST, PUBLISHED, Rules, named


def test_published_numbers_are_the_published_ones() -> None:
    assert (PUBLISHED.share, PUBLISHED.pulls, PUBLISHED.weight, PUBLISHED.scale) == (0.5, 3, 5.0, 10.0)
    assert (PUBLISHED.stop, PUBLISHED.enough, PUBLISHED.transplant, PUBLISHED.blocks) == (1e-5, 0.85, 1.0, 1.0)
    assert not (PUBLISHED.inclusive or PUBLISHED.aligned or PUBLISHED.between_words)
    assert (DEFAULT.pulls, FAST.pulls) == (3, 1)


def test_rules_are_named_and_changed() -> None:
    assert named("fast", share=0.25, pulls=None) == Rules(share=0.25, pulls=1)
    with pytest.raises(UnknownName, match="^no set of rules named 'fats'; did you mean 'fast'\\?$"):
        named("fats")


def test_steps_and_blocks_are_whole_numbers() -> None:
    assert [Rules(share=0.5).steps(steps) for steps in (1, 5, 50)] == [0, 2, 25]
    assert [Rules(blocks=0.5).used_blocks(depth) for depth in (1, 3, 28)] == [1, 2, 14]


def test_every_number_can_be_configured() -> None:
    choices = {"inclusive", "aligned", "between_words"}  # of the published code, which belong together
    assert {field.name for field in fields(RulesConfig)} - {"name"} == {field.name for field in fields(Rules)} - choices


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"share": 1.5}, "rules.share must be between 0 and 1, not 1.5"),
        ({"blocks": 0.0}, "rules.blocks must be more than 0 and at most 1, not 0"),
        ({"pulls": -1}, "rules.pulls must be a number of at least 0, not -1"),
        ({"weight": float("nan")}, "rules.weight must be a number of at least 0, not nan"),
        ({"transplant": float("nan")}, "rules.transplant must be between 0 and 1, not nan"),
    ],
)
def test_what_cannot_be_is_one_line(values: dict[str, float], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Rules(**values)  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == line
