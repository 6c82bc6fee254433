"""What a command line means, without running anything."""

import pytest

from ditkit.cli.overrides import from_flags
from ditkit.errors import ConfigError


def test_flags_that_were_not_given_say_nothing():
    assert from_flags({"--steps": None, "--cache": False, "--class": []}, []) == []


def test_flags_come_before_overrides():
    assert from_flags({"--steps": "20", "--out": "a b"}, ["seed=3"]) == ["steps='20'", "out='a b'", "seed=3"]


def test_a_repeated_flag_is_a_list():
    assert from_flags({"--class": ["cat", "ice cream"]}, []) == ["classes=['cat','ice cream']"]


def test_cache_is_a_plain_flag_and_a_plan_is_a_cache_from_a_file():
    assert from_flags({"--cache": True}, []) == ["cache=auto"]
    assert from_flags({"--plan": "my plan.json"}, []) == ["cache=file", "cache.path='my plan.json'"]


def test_a_solver_names_an_option_of_a_group():
    assert from_flags({"--solver": "dpm-solver++"}, []) == ["sampler=dpm-solver++"]


def test_a_model_to_train_is_its_preset_or_the_bare_model():
    assert from_flags({"RECIPE": "dit-emoji"}, []) == ["preset=dit-emoji"]
    assert from_flags({"RECIPE": "dit-b-4-256"}, []) == ["preset=none", "model='dit-b-4-256'"]


@pytest.mark.parametrize(
    ("flags", "overrides", "line"),
    [
        ({"--steps": "20"}, ["steps=30"], "steps is said twice: --steps 20 and steps=30"),
        ({"--steps": "20"}, ["+steps=30"], "steps is said twice: --steps 20 and +steps=30"),
        ({}, ["steps=20", "steps=30"], "steps is said twice: steps=20 and steps=30"),
        ({"--class": ["cat", "dog"]}, ["classes=[fox]"], "classes is said twice: --class cat --class dog and classes=[fox]"),
        ({"--cache": True, "--plan": "p.json"}, [], "cache is said twice: --cache and --plan p.json"),
        ({"--cache": True}, ["cache=every"], "cache is said twice: --cache and cache=every"),
        ({"--plan": "p.json"}, ["cache.path=q"], "cache.path is said twice: --plan p.json and cache.path=q"),
        ({"--max-error": "0.02", "--budget": "0.5"}, [], "--max-error 0.02 stands in place of a budget; leave out --budget 0.5"),
        ({"--speed-up": "2"}, ["budget=0.5"], "--speed-up 2 stands in place of a budget; leave out budget=0.5"),
        ({"RECIPE": "dit-emoji"}, ["preset=judge"], "preset is said twice: dit-emoji and preset=judge"),
        (
            {"--from": "m.json", "--plan": "p", "--out": "new"},
            ["seed=4"],
            "--from m.json repeats a run as it was; leave out --plan p, seed=4 (only --out can differ)",
        ),
    ],
)
def test_saying_a_thing_twice_is_an_error_that_names_both(flags: dict, overrides: list[str], line: str):
    with pytest.raises(ConfigError) as caught:
        from_flags(flags, overrides)
    assert str(caught.value) == line


def test_a_repeated_run_may_go_elsewhere():
    assert from_flags({"--from": "m.json", "--out": "new"}, []) == ["source='m.json'", "out='new'"]
