import json
from pathlib import Path
from typing import Any

import pytest

from ditkit.errors import CheckpointError
from ditkit.models.registry import find
from ditkit.models.scheduler import scheduled
from ditkit.models.spec import Defaults

SPEC = find("pixart-xl-2-1024-ms")


def folder(path: Path, **config: Any) -> Path:
    (path / "scheduler").mkdir()
    (path / "model_index.json").write_text(json.dumps({"_class_name": "PixArtAlphaPipeline"}))
    words = {"_class_name": "DPMSolverMultistepScheduler", "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, **config}
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(words))
    return path


def test_the_usual_scheduler_changes_nothing(tmp_path: Path) -> None:
    assert scheduled(SPEC, folder(tmp_path)) == SPEC
    assert scheduled(SPEC, tmp_path / "scheduler") == SPEC  # in no pipeline


def test_a_consistency_model_is_sampled_in_four_steps_without_guidance(tmp_path: Path) -> None:
    config = {"_class_name": "LCMScheduler", "original_inference_steps": 50, "timestep_scaling": 10.0}
    assert scheduled(SPEC, folder(tmp_path, **config)).defaults == Defaults(solver="lcm", steps=4, guidance=1.0)


def test_the_kind_of_prediction_is_the_schedulers(tmp_path: Path) -> None:
    assert scheduled(SPEC, folder(tmp_path, prediction_type="v_prediction")).prediction == "v"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"prediction_type": ["epsilon"]}, r"says prediction_type \['epsilon'\]; ditkit knows"),
        ({"prediction_type": None}, "says prediction_type None; ditkit knows"),
        ({"prediction_type": "flow"}, "says prediction_type flow; ditkit knows epsilon, v_prediction, sample"),
        (
            {"_class_name": "LCMScheduler", "original_inference_steps": 20},
            "says original_inference_steps 20; ditkit's .* lcm is for 50",
        ),
    ],
)
def test_what_ditkit_has_not_is_refused_by_name(config: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=words):
        scheduled(SPEC, folder(tmp_path, **config))
