"""Numbers as people type them."""

from typing import Any

import pytest

from ditkit.config.compose import compose
from ditkit.config.numbers import number, whole
from ditkit.config.schema import BenchConfig, Gen3DConfig, SampleConfig, TrainConfig, TrainRouterConfig
from ditkit.errors import ConfigError


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("-3", -3), ("+4", 4), ("007", 7)])
def test_ascii_digits_are_a_whole_number(text: str, value: int) -> None:
    assert whole(text) == value


@pytest.mark.parametrize("text", ["", "1.0", "1_000", "\u0663", "\uff15", "\u00b2", " 1", "0x10", "1e3", "--1"])
def test_anything_else_is_none(text: str) -> None:
    assert whole(text) is None


@pytest.mark.parametrize("text", ["", "nan", "inf", "-inf", "1_0.0", "\u0661.5", "1,5", "1e999"])
def test_what_is_no_finite_number_in_ascii_is_none(text: str) -> None:
    assert number(text) is None
    assert number("-2.5e-1") == -0.25


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("count='\u0663'", "count must be a whole number in the digits 0 to 9, not '\u0663'"),
        ("count=1_000", "count must be a whole number in the digits 0 to 9, not 1_000"),
        ("guidance='\u0661'", "guidance must be a number in the digits 0 to 9, not '\u0661'"),
        ("guidance_interval=[1_0,2_0]", "guidance_interval must hold numbers in the digits 0 to 9, not [1_0,2_0]"),
        ("count=999999999999999999999999999", "count must be at most 2147483647, not 999999999999999999999999999"),
        ("seed=9223372036854775808", "seed must be at most 9223372036854775807, not 9223372036854775808"),
        ("classes=[[1]]", "classes is one list, without another in it, as in classes=[a,b]"),
        ("runtime.threads=10000000000", "runtime.threads must be at most 2147483647, not 10000000000"),
    ],
)
def test_a_number_that_cannot_be_meant_is_one_line(override: str, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(SampleConfig, [override])
    assert str(refused.value) == line


def test_seeds_count_up_to_the_last_and_not_beyond() -> None:
    assert compose(SampleConfig, ["seed=9223372036854775806", "count=2"]).count == 2
    with pytest.raises(
        ConfigError, match="^seeds end at 9223372036854775807, and 2 from 9223372036854775807 on go beyond; use a smaller seed$"
    ):
        compose(Gen3DConfig, ["seed=9223372036854775807", "count=2"])
    others: list[tuple[Any, str]] = [(BenchConfig, "count=2"), (TrainRouterConfig, "samples=2")]
    for schema, samples in others:
        with pytest.raises(ConfigError, match="^seeds end at 9223372036854775807, and 2 from"):
            compose(schema, ["seed=9223372036854775807", samples])


def test_digits_in_texts_are_letters_like_others() -> None:
    assert compose(TrainConfig, ["data.path='\u0663_1'"]).data.path == "\u0663_1"
    assert compose(SampleConfig, ["classes=['\u0663']"]).classes == ["\u0663"]
