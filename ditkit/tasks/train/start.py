"""What the weights to start from say that they were trained on, and whether this training goes on with that."""

from pathlib import Path

from ditkit.config.schema import TrainConfig
from ditkit.errors import CheckpointError
from ditkit.models import checkpoints, registry
from ditkit.models.pipeline import folder_of
from ditkit.models.spec import ModelSpec
from ditkit.tasks.shared.pipeline_parts import as_scheduled


def check_goes_on(config: TrainConfig, spec: ModelSpec) -> None:
    """Raise `CheckpointError` if the weights say another prediction, path or noise schedule than the model is trained for.

    What the command itself says of a flow is meant: weights are then trained to say something else.
    """
    path = Path(str(config.init))
    if config.init is None or not path.exists():
        return
    told = checkpoints.trained_as(as_scheduled(registry.find(config.model), folder_of(path)), path)
    if config.flow.prediction is None and told.prediction != spec.prediction:
        way = f"; say flow.prediction={told.prediction} to go on with that" if "flow" in spec.schedule else ""
        raise CheckpointError(f"{path} predicts {told.prediction}, and {spec.name} is trained to predict {spec.prediction}{way}")
    if config.flow.path is None and (told.schedule, told.schedule_numbers) != (spec.schedule, spec.schedule_numbers):
        way = f"; say flow.path={told.schedule.removesuffix('-flow')} to go on with that" if told.schedule.endswith("-flow") else ""
        raise CheckpointError(f"{path} was trained on another noise schedule than {spec.name} is{_numbers(told)}{way}")


def _numbers(told: ModelSpec) -> str:
    numbers = ", ".join(f"{name} {value:g}" for name, value in told.schedule_numbers if name != "first_time")
    return f" ({told.schedule}{': ' + numbers if numbers else ''})"
