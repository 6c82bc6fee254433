"""The line that says how to sample by a plan: composed, it is the run that the plan was made for."""

import shlex
from pathlib import Path

import pytest

from ditkit.config.compose import compose
from ditkit.config.schema import SampleConfig, TrainRouterConfig
from ditkit.models import registry
from ditkit.tasks.train_router.use import ALIKE, use_of
from tests.config.test_quoting import AWKWARD


@pytest.mark.parametrize(
    "asked",
    [
        [],
        ["sampler=ddim", "sampler.eta=0.3"],
        ["sampler=dpm-solver++", "sampler.grid=logsnr", "sampler.start=0.7"],
        ["weights='my weights, new.safetensors'", "weights_key=ema", "guidance=1.5", "compat=diffusers", "guidance_channels=3"],
        ["sampler=heun", "lora=[one.safetensors:0.5,'two (2)']", "codec.path=/vae", "text.path=/t5", "runtime.threads=1", "budget=0.5"],
    ],
)
def test_it_says_again_what_the_plan_was_told_and_no_more(asked: list[str]) -> None:
    config = compose(TrainRouterConfig, asked)
    line = use_of(config, registry.find("dit-emoji"), 20, Path("runs/plan.json"))
    opening = "use it: ditkit sample --model dit-emoji --steps 20 --plan runs/plan.json"
    assert line.startswith(opening)
    said = shlex.split(line.removeprefix(opening))
    again = compose(SampleConfig, said)
    assert all(getattr(again, name) == getattr(config, name) for name in ALIKE)
    assert len(said) == len([word for word in asked if word.partition("=")[0].partition(".")[0] in ALIKE])


@pytest.mark.parametrize("text", [*AWKWARD, "../a", "1e3", "-1", "true", "v1.0", "2024/run", "`ls`", "a!b", "a+b", "+1", "both ' and \""])
def test_any_text_comes_through_the_shell_and_the_grammar_as_it_was(text: str) -> None:
    line = use_of(TrainRouterConfig(weights=text, lora=[text, "b"]), registry.find("dit-emoji"), 20, Path(text))
    words = shlex.split(line.removeprefix("use it: "))
    assert words[:8] == ["ditkit", "sample", "--model", "dit-emoji", "--steps", "20", "--plan", str(Path(text))]
    again = compose(SampleConfig, words[8:])
    assert (again.weights, again.lora) == (text, [text, "b"])
