"""`ditkit ground`: from the words typed to the configuration that the task gets."""

import json

import pytest

from ditkit.cli import completion
from ditkit.config.layouts import EXAMPLE, SCHEMA, shipped
from ditkit.config.schema import AutoCache, FileCache, GroundConfig, RulesConfig, TextConfig


def test_without_words_it_draws_the_shipped_example(ditkit_command, asked):
    ditkit_command("ground")
    [(name, (config, _))] = asked.calls
    assert (name, config) == ("ground.run", GroundConfig())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--boxes", "my boxes.json", "--count", "3"], GroundConfig(boxes="my boxes.json", count=3)),
        (
            ["--prompt", "a dog, and two cats", "--box", "dog: 0.1,0.2,0.5,0.9", "--box", "cats: 0,0,1,0.5"],
            GroundConfig(prompt="a dog, and two cats", box=["dog: 0.1,0.2,0.5,0.9", "cats: 0,0,1,0.5"]),
        ),
        (["--prompt", "a dog", "--size", "72x128"], GroundConfig(prompt="a dog", height=72, width=128)),
        (["--fast", "--cache", "--steps", "20"], GroundConfig(rules=RulesConfig("fast"), cache=AutoCache(), steps=20)),
        (["--cache", "--budget", "0.5"], GroundConfig(cache=AutoCache(budget=0.5))),
        (["rules.name=published", "rules.pulls=0"], GroundConfig(rules=RulesConfig("published", pulls=0))),
        (["--plan", "p.json", "recompute=true", "frames=5"], GroundConfig(cache=FileCache(path="p.json"), recompute=True, frames=5)),
        (["--from", "runs/a", "--out", "runs/b"], GroundConfig(source="runs/a", out="runs/b")),
        (["--negative", "blurred", "text.path=t5"], GroundConfig(negative="blurred", text=TextConfig(path="t5"))),
    ],
)
def test_flags_and_overrides_become_the_configuration(ditkit_command, asked, words: list[str], expected: GroundConfig):
    result = ditkit_command("ground", *words)
    assert result.exit_code == 0, result.stderr
    [(_, (config, _))] = asked.calls
    assert config == expected


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rules.name=fats"], "ditkit: no set of rules named 'fats'; did you mean 'fast'?\n"),
        (["--fast", "rules.name=published"], "ditkit: rules.name is said twice: --fast and rules.name=published\n"),
        (["frames=-1"], "ditkit: frames must be at least 0, not -1\n"),
        (["--from", "runs/a", "--fast"], "ditkit: --from runs/a repeats a run as it was; leave out --fast (only --out can differ)\n"),
        (["--bxes", "a"], "ditkit: No such option: --bxes (Possible options: --boxes)\n"),
        (["rules.pull=1"], "ditkit: no option named 'rules.pull' in ground; did you mean 'rules.pulls'?\n"),
    ],
)
def test_what_cannot_be_is_one_line(ditkit_command, words: list[str], line: str):
    result = ditkit_command("ground", *words)
    assert (result.exit_code, result.stderr) == (2, line)


@pytest.mark.parametrize(("flag", "name"), [("--example", EXAMPLE), ("--schema", SCHEMA)])
def test_example_and_schema_are_printed_and_nothing_else(ditkit_command, asked, flag: str, name: str):
    result = ditkit_command("ground", flag)
    assert (result.exit_code, result.stdout, result.stderr) == (0, shipped(name), "")
    assert json.loads(result.stdout)
    assert not asked.calls


def test_a_dry_run_only_estimates(ditkit_command, asked):
    ditkit_command("ground", "--dry-run", "--count", "3")
    assert asked.calls == [("ground.estimate", (GroundConfig(count=3),))]


def test_models_that_read_prompts_are_completed():
    assert completion.prompted("pixart-e") == ["pixart-emoji"]
    assert completion.prompted("dit") == []
