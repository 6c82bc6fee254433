"""The checks that a configuration makes of itself, and the groups."""

import subprocess
import sys

import pytest

from ditkit.config.schema import CacheConfig, DataConfig, EveryCache, RuntimeConfig, SampleConfig, TrainConfig, option
from ditkit.errors import DitkitError


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"count": -2}, "count must be at least 1, not -2"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"seed": -1}, "seed must be from 0 to 9223372036854775807, not -1"),
        ({"guidance": float("nan")}, "guidance must be a finite number, not nan"),
        ({"guidance": float("inf")}, "guidance must be a finite number, not inf"),
        ({"compat": "diffuser"}, "no compat named 'diffuser'; did you mean 'diffusers'?"),
        ({"out": " "}, "out must name a folder, as in --out runs/mine"),
        (
            {"guidance_interval": [900.0, 100.0]},
            "guidance_interval takes two model times, the lower first, as in guidance_interval=[100,900], not [900.0, 100.0]",
        ),
    ],
)
def test_a_sample_configuration_out_of_range_is_refused(values: dict, line: str):
    with pytest.raises(DitkitError) as caught:
        SampleConfig(**values)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"learning_rate": 0.0}, "learning_rate must be more than 0, not 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number, not nan"),
        ({"optimizer": "moun"}, "no optimizer named 'moun'; did you mean 'muon'?"),
        ({"ema": 1.0}, "ema must be at least 0 and less than 1, not 1"),
        ({"label_dropout": -0.1}, "label_dropout must be at least 0 and less than 1, not -0.1"),
    ],
)
def test_a_training_configuration_out_of_range_is_refused(values: dict, line: str):
    with pytest.raises(DitkitError) as caught:
        TrainConfig(**values)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"precision": "bf16"}, "no precision named 'bf16'; did you mean 'bfloat16'?"),
        ({"device": "gpu"}, "no device named 'gpu'; did you mean 'cpu'?"),
        ({"device": "cuda:x"}, "no device named 'cuda:x'; a number follows only cuda, as in cuda:1"),
        ({"threads": 0}, "runtime.threads must be at least 1, not 0"),
    ],
)
def test_an_impossible_runtime_is_refused(values: dict, line: str):
    with pytest.raises(DitkitError) as caught:
        RuntimeConfig(**values)
    assert str(caught.value) == line


def test_a_second_cuda_device_is_possible():
    assert RuntimeConfig(device="cuda:1").device == "cuda:1"


def test_data_is_augmented_at_least_once():
    with pytest.raises(DitkitError, match=r"^data\.augment must be at least 1, not 0$"):
        DataConfig(augment=0)


@pytest.mark.parametrize("value", ["blackk", "#80808080", ""])
def test_a_background_is_a_colour(value: str):
    with pytest.raises(DitkitError) as caught:
        DataConfig(background=value)
    way = "data.background=white or \"data.background='#8090a0'\""
    assert str(caught.value) == f"data.background must be a colour, as in {way}, not '{value}'"
    assert DataConfig(background="#8090a0").background == "#8090a0"


def test_an_option_is_made_by_its_name():
    assert option("cache", "every", period=3) == EveryCache(period=3)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(DitkitError, match=r"^no solver named 'dpm-solver'; did you mean 'dpm-solver\+\+'"):
        option("sampler", "dpm-solver")


def test_the_name_of_an_option_cannot_be_set():
    with pytest.raises(DitkitError, match=r"^cache\.name cannot be set; choose with cache=every$"):
        CacheConfig(name="every")


def test_the_schema_needs_neither_torch_nor_hydra():
    code = "import sys, ditkit.config.schema; print({'torch', 'hydra', 'omegaconf', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
