"""Composing: what an override means, and the one line that a wrong one becomes."""

import pytest

from ditkit.config.compose import as_yaml, compose
from ditkit.config.schema import DDIMConfig, EveryCache, FileCache, SampleConfig, TrainConfig
from ditkit.errors import DitkitError


def test_an_override_replaces_a_default():
    config = compose(SampleConfig, ["steps=20", "classes=[cat, 5]", "runtime.threads=2"])
    assert (config.steps, config.classes, config.runtime.threads) == (20, ["cat", "5"], 2)


def test_a_group_option_is_an_instance_of_its_own_class():
    config = compose(SampleConfig, ["sampler=ddim", "sampler.eta=0.5", "cache=every", "cache.period=3"])
    assert (config.sampler, config.cache) == (DDIMConfig(eta=0.5), EveryCache(period=3))


def test_a_plan_file_is_a_cache_with_a_path():
    assert compose(SampleConfig, ["cache=file", "cache.path='a b.json'"]).cache == FileCache(path="a b.json")


def test_a_leading_plus_adds_nothing_that_the_command_does_not_have():
    assert compose(SampleConfig, ["+steps=3", "++count=2"]) == SampleConfig(steps=3, count=2)


def test_composing_twice_gives_the_same():
    assert compose(TrainConfig, ["steps=7"]) == compose(TrainConfig, ["steps=7"])


def test_a_model_without_a_preset_gets_a_folder_of_its_own():
    assert compose(TrainConfig, ["preset=none", "model=dit-s-4-256"]).out == "runs/train-dit-s-4-256"


def test_what_cfg_prints_says_which_option_was_chosen():
    text = as_yaml(compose(SampleConfig, ["cache=every"]))
    assert "cache:\n  name: every\n  period: 2\n" in text and "steps: null\n" in text


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("stpes=3", "no option named 'stpes' in sample; did you mean 'steps'?"),
        ("class=cat", "no option named 'class' in sample; did you mean 'classes'?"),
        ("device=cpu", "no option named 'device' in sample; did you mean 'runtime.device'?"),
        ("runtime.thread=2", "no option named 'runtime.thread' in sample; did you mean 'runtime.threads'?"),
        ("zzz=1", "no option named 'zzz' in sample; ditkit sample --cfg prints all"),
        ("+zzz=1", "no option named 'zzz' in sample; ditkit sample --cfg prints all"),
        ("hydra.verbose=true", "no option named 'hydra.verbose' in sample; ditkit sample --cfg prints all"),
        ("=3", "no option named '' in sample; ditkit sample --cfg prints all"),
        ("cache@x=every", "no option named 'cache@x' in sample; did you mean 'cache'?"),
        ("cache.period=3", "no option named 'cache.period' with cache=none; it has no options"),
        ("cache=evry", "no cache named 'evry'; did you mean 'every'? (auto, bottom, every, file, forecast, none, random, similarity, top)"),
        ("cache=null", "no cache named 'null'; choose one of auto, bottom, every, file, forecast, none, random, similarity, top"),
        ("cache=file", "cache=file needs a plan: --plan FILE or cache.path=FILE"),
        ("cache.name=every", "cache.name cannot be set; choose with cache=every"),
        (
            "sampler=dimm",
            "no solver named 'dimm'; did you mean 'ddim'? (auto, ddim, ddpm, dmd, dopri5, dpm-solver++, dpm-solver-2, euler, "
            "euler-maruyama, heun, heun3, lcm, midpoint, rk4, stochastic-heun)",
        ),
        ("cat", "cannot read 'cat'; an option is set by key=value, as in steps=20"),
        ("~steps", "cannot read '~steps'; an option is set by key=value, as in steps=20"),
        ("weights=a=b", "cannot read 'weights=a=b'; put a value with special characters in quotes: \"weights='a=b'\""),
        ("steps=1,2", "steps takes one value, not several; a text with commas is written as \"steps='1,2'\""),
        ("classes=cat,dog", "classes has several values; write a list as classes=[cat,dog]"),
        ("out=[a,b]", "out is one text, as in \"out='a,b'\", and no list"),
        ("steps=abc", "steps must be a whole number, not 'abc'"),
        ("steps=2.5", "steps must be a whole number, not '2.5'"),
        ("guidance=lots", "guidance must be a number, not 'lots'"),
        ("classes=cat", "classes takes a list, as in classes=[cat]"),
        ("out='???'", "out has no value; write out=VALUE"),
        ("out=${nope}", "out: Interpolation key 'nope' not found"),
        ("steps=0", "steps must be at least 1, not 0"),
    ],
)
def test_a_wrong_override_is_one_line_that_helps(override: str, line: str):
    with pytest.raises(DitkitError) as caught:
        compose(SampleConfig, [override])
    assert str(caught.value) == line


def test_what_is_said_of_several_values_is_so_when_it_is_done():
    with pytest.raises(DitkitError) as caught:
        compose(SampleConfig, ["sampler=ddim", "sampler.grid=10,15,20"])
    way = "sampler.grid='10,15,20'"
    assert str(caught.value) == f'sampler.grid takes one value, not several; a text with commas is written as "{way}"'
    assert getattr(compose(SampleConfig, ["sampler=ddim", way]).sampler, "grid") == "10,15,20"  # noqa: B009 (of one solver)
    assert compose(SampleConfig, ["classes=[cat,dog]"]).classes == ["cat", "dog"]


def test_a_misspelt_key_is_compared_with_those_of_the_chosen_option():
    with pytest.raises(DitkitError, match=r"^no option named 'cache\.perod' with cache=every; did you mean 'cache\.period'\?$"):
        compose(SampleConfig, ["cache=every", "cache.perod=3"])


def test_a_group_of_another_command_is_unknown():
    with pytest.raises(DitkitError, match=r"^no option named 'preset' in sample"):
        compose(SampleConfig, ["preset=dit-emoji"])
