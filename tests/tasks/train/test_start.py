"""Weights to start from that say what they were trained on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from ditkit.config.schema import FlowConfig, TrainConfig
from ditkit.errors import CheckpointError
from ditkit.models import checkpoints, registry
from ditkit.models.registry import find
from ditkit.tasks.train.start import check_goes_on
from tests.models.tiny import SIT
from tests.saved_pipelines import dit_pipeline


def refused(model: str, init: Path, flow: FlowConfig | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        check_goes_on(TrainConfig(model=model, init=str(init), flow=flow or FlowConfig()), find(model))
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prediction_type": "v_prediction"}, "predicts v, and dit-xl-2-256 is trained to predict epsilon"),
        (
            {"beta_schedule": "scaled_linear", "beta_start": 0.001, "beta_end": 0.012},
            "was trained on another noise schedule than dit-xl-2-256 is (scaled-linear: steps 1000, start 0.001, end 0.012)",
        ),
    ],
)
def test_a_pipeline_of_other_levels_or_another_prediction_is_not_trained_on(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    dit_pipeline(scheduler=DDIMScheduler(clip_sample=False, **changes)).save_pretrained(tmp_path)
    for path in (tmp_path, tmp_path / "transformer"):
        assert refused("dit-xl-2-256", path) == f"{path} {words}"


def test_a_pipeline_of_the_models_own_levels_is(tmp_path: Path) -> None:
    dit_pipeline().save_pretrained(tmp_path)
    check_goes_on(TrainConfig(model="dit-xl-2-256", init=str(tmp_path)), find("dit-xl-2-256"))


def test_a_flow_goes_on_as_its_file_says_or_as_the_command_says(tmp_path: Path) -> None:
    path, words = tmp_path / "w.safetensors", {"prediction": "epsilon", "schedule": "gvp-flow"}
    checkpoints.save(registry.FAMILIES["sit"](SIT).state_dict(), path, model="sit-emoji", params=SIT, dtype=torch.float16, **words)
    assert refused("sit-emoji", path) == (
        f"{path} predicts epsilon, and sit-emoji is trained to predict velocity; say flow.prediction=epsilon to go on with that"
    )
    epsilon = FlowConfig(prediction="epsilon")
    assert refused("sit-emoji", path, epsilon) == (
        f"{path} was trained on another noise schedule than sit-emoji is (gvp-flow); say flow.path=gvp to go on with that"
    )
    for flow in (FlowConfig("epsilon", "gvp"), FlowConfig("velocity", "linear")):
        asked: Any = flow.prediction
        check_goes_on(
            TrainConfig(model="sit-emoji", init=str(path), flow=flow),
            replace(find("sit-emoji"), prediction=asked, schedule=f"{flow.path}-flow"),
        )
