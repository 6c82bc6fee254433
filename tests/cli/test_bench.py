"""`ditkit bench`: flags and overrides become one configuration."""

import pytest


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {"model": "dit-emoji", "out": "runs/bench-dit-emoji", "plans": [], "count": None}),
        (["uvit-emoji", "--steps", "50"], {"model": "uvit-emoji", "out": "runs/bench-uvit-emoji", "steps": 50}),
        (["--plan", "a.json", "--plan", "b c.json"], {"plans": ["a.json", "b c.json"]}),
        (["--policy", "every", "--policy", "random:0.6", "--fewer", "14"], {"policies": ["every", "random:0.6"], "fewer": [14]}),
        (["--prompts", "a.txt", "text.path=t5"], {"prompt_file": "a.txt"}),
        (["--boxes", "held-out", "--rules", "fast", "--rules", "pull"], {"boxes": "held-out", "rules": ["fast", "pull"]}),
        (["--against", "cache-dit", "--reference", "emoji.npz"], {"against": ["cache-dit"], "reference": "emoji.npz"}),
    ],
)
def test_flags_and_overrides_become_the_configuration(ditkit_command, asked, words: list[str], values: dict):
    result = ditkit_command("bench", *words)
    assert result.exit_code == 0, result.stderr
    ((name, (config, _)),) = asked.calls
    assert name == "bench.run"
    assert {key: getattr(config, key) for key in values} == values


def test_the_configuration_can_be_printed(ditkit_command, asked):
    result = ditkit_command("bench", "--cfg")
    assert "count: null" in result.stdout and asked.calls == []
