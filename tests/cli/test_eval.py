"""`ditkit eval`: targets, flags and overrides become one configuration."""

from pathlib import Path

import pytest

from ditkit.config.schema import ReferenceConfig


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["runs/a", "runs/b"], {"targets": ["runs/a", "runs/b"], "real": False, "protocol": "whole"}),
        (["runs/a", "frame=box", "--seed", "3"], {"targets": ["runs/a"], "frame": "box", "seed": 3}),
        (["--data", "shapes", "--category", "chair", "--real"], {"data": ReferenceConfig("shapes", ["chair"]), "real": True}),
        (["r", "--distance", "cd", "--distance", "emd-exact"], {"distances": ["cd", "emd-exact"]}),
    ],
)
def test_targets_flags_and_overrides_become_the_configuration(ditkit_command, asked, words: list[str], values: dict):
    result = ditkit_command("eval", *words)
    assert result.exit_code == 0, result.stderr
    ((name, (config, _)),) = asked.calls
    assert name == "eval.run"
    assert {key: getattr(config, key) for key in values} == values


def test_a_target_may_have_an_equals_sign_in_its_name(ditkit_command, asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=1").mkdir()
    assert ditkit_command("eval", "a=1", "seed=2").exit_code == 0
    ((_, (config, _)),) = asked.calls
    assert (config.targets, config.seed) == (["a=1"], 2)


def test_an_option_that_is_none_says_what_was_meant(ditkit_command, asked):
    result = ditkit_command("eval", "runs/a", "--dta", "x")
    assert result.exit_code == 2 and "No such option: --dta (Possible options: --data)" in result.stderr
    result = ditkit_command("eval", "runs/a", "protokoll=batches")
    assert (result.exit_code, result.stderr) == (2, "ditkit: no option named 'protokoll' in eval; did you mean 'protocol'?\n")


def test_an_override_may_be_too_long_for_a_path(ditkit_command, asked):
    names = [f"category{index}" for index in range(1000)]
    result = ditkit_command("eval", "runs/a", f"data.categories=[{','.join(names)}]")
    assert result.exit_code == 0, result.stderr
    ((_, (config, _)),) = asked.calls
    assert (config.targets, config.data.categories) == (["runs/a"], names)
