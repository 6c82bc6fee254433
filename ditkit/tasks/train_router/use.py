"""The line that says how to sample by a plan."""

from pathlib import Path

from ditkit.config.schema import TrainRouterConfig
from ditkit.models.spec import ModelSpec
from ditkit.tasks.shared.command_line import command_line

ALIKE = ("weights", "weights_key", "revision", "lora", "compat", "guidance_channels", "codec", "sampler", "guidance", "text")


def use_of(config: TrainRouterConfig, spec: ModelSpec, evaluations: int, file: Path) -> str:
    """The command that runs as the plan was made to run: all that it was told, of the model and the solver, is said again."""
    words = ["--model", config.model, "--steps", str(evaluations), "--plan", str(file)]
    return f"use it: {command_line('gen3d' if spec.points else 'sample', config, words, only=ALIKE)}"
