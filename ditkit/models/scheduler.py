"""What the scheduler's configuration in a pipeline's folder says of how its network is sampled."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from ditkit.errors import CheckpointError
from ditkit.models import pipeline
from ditkit.models.spec import Defaults, ModelSpec

CONFIG = Path("scheduler") / "scheduler_config.json"
Prediction = Literal["epsilon", "v", "sample"]
PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
FEW_STEPS = {"LCMScheduler": Defaults(solver="lcm", steps=4, guidance=1.0)}
LCM_LEVELS, LCM_SCALING = 50, 10.0  # that solver lcm takes for granted


def scheduled(spec: ModelSpec, path: Path) -> ModelSpec:
    """The model with the prediction and, where the scheduler is one of few steps, the solver that its folder says.

    Raises `CheckpointError` for a prediction, or a distillation, that ditkit has not. Its noise levels are `tasks.shared.pipeline_parts`'s.
    """
    folder = pipeline.folder_of(path)
    if folder is None or not (folder / CONFIG).is_file():
        return spec
    config, where = pipeline.read_object(folder / CONFIG), folder / CONFIG
    name = str(config.get("_class_name"))
    said = config.get("prediction_type", "epsilon")
    if not isinstance(said, str) or said not in PREDICTIONS:
        raise CheckpointError(f"{where} says prediction_type {said}; ditkit knows {', '.join(PREDICTIONS)}")
    if name == "LCMScheduler":
        known = {"original_inference_steps": LCM_LEVELS, "timestep_scaling": LCM_SCALING}
        other = next((key for key, value in known.items() if config.get(key, value) != value), None)
        if other:
            raise CheckpointError(f"{where} says {other} {config[other]}; ditkit's solver lcm is for {known[other]:g}")
    return replace(spec, prediction=PREDICTIONS[said], defaults=FEW_STEPS.get(name, spec.defaults))
