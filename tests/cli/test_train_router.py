"""`ditkit train-router`: flags and overrides become one configuration."""

import pytest


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {"model": "dit-emoji", "out": "runs/router-dit-emoji", "budget": 0.7, "learning_rate": 0.05}),
        (["uvit-emoji", "--evaluations", "50"], {"model": "uvit-emoji", "out": "runs/router-uvit-emoji", "evaluations": 50}),
        (["--prompts", "a.txt", "text.path=t5"], {"prompt_file": "a.txt"}),
        (["--budget", "0.6", "--steps", "9", "period=3"], {"budget": 0.6, "steps": 9, "period": 3}),
        (["recipe=forecast", "--max-error", "0.02"], {"forecasts": True, "max_error": 0.02, "speed_up": None}),
        (["recipe=forecast", "--speed-up", "2"], {"forecasts": True, "speed_up": 2.0, "out": "runs/forecast-dit-emoji"}),
        (["recipe=paper"], {"learning_rate": 1e-3, "start": None, "budget": None, "threshold": 0.1, "penalty": "branches"}),
    ],
)
def test_flags_and_overrides_become_the_configuration(ditkit_command, asked, words: list[str], values: dict):
    result = ditkit_command("train-router", *words)
    assert result.exit_code == 0, result.stderr
    ((name, (config, _)),) = asked.calls
    assert name == "train_router.run"
    assert {key: getattr(config, key) for key in values} == values


def test_the_configuration_can_be_printed(ditkit_command, asked):
    result = ditkit_command("train-router", "--cfg")
    assert "budget: 0.7" in result.stdout and asked.calls == []
