"""`ditkit train`: a preset, a bare model, or options alone."""

import pytest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"model": "dit-emoji", "out": "runs/train-dit-emoji"}),
        (["uvit-emoji", "--data", "my data"], {"model": "uvit-emoji", "out": "runs/train-uvit-emoji"}),
        (["dit-b-4-256", "--steps", "9"], {"model": "dit-b-4-256", "steps": 9, "out": "runs/train-dit-b-4-256"}),
        (["steps=7", "seed=2"], {"model": "dit-emoji", "steps": 7, "seed": 2}),
        (["judge", "learning_rate=1e-3", "--out", "here"], {"model": "judge", "learning_rate": 1e-3, "out": "here"}),
        (["runtime=gpu", "tensorboard=true"], {"tensorboard": True}),
    ],
)
def test_words_become_the_configuration(ditkit_command, asked, words: list[str], expected: dict):
    result = ditkit_command("train", *words)
    assert result.exit_code == 0, result.stderr
    [(name, (config, _))] = asked.calls
    assert name == "train.run"
    assert {key: getattr(config, key) for key in expected} == expected


def test_data_is_where_the_pictures_are(ditkit_command, asked):
    ditkit_command("train", "--data", "my data, here")
    [(_, (config, _))] = asked.calls
    assert config.data.path == "my data, here"


def test_cfg_prints_the_preset(ditkit_command, asked):
    assert "model: ae-emoji\n" in ditkit_command("train", "ae-emoji", "--cfg").stdout
    assert asked.calls == []
