"""Asking a pipeline for one result, whatever its call takes."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from ditkit.errors import RequestError

Asked = str | int | Mapping[str, Any]
"""A prompt, a class, or all that a call of the pipeline is given."""


def arguments(pipe: Any, asked: Asked, steps: int, seed: int, more: Mapping[str, Any], *, output: str = "latent") -> dict[str, Any]:
    """What the pipeline is called with: of steps, seed and the form of the `output` what it takes, and all of `more`.

    Raises `RequestError` for a prompt where none is taken.
    """
    takes = inspect.signature(type(pipe).__call__ if hasattr(pipe, "scheduler") else pipe).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values())
    if isinstance(asked, Mapping):
        own = dict(asked)
    elif "class_labels" in takes:
        own = {"class_labels": [_label(asked)]}
    elif "prompt" in takes or anything:
        own = {"prompt": asked}
    else:
        raise RequestError(f"{type(pipe).__name__} takes no prompt; give its arguments as a mapping for each run")
    generator = torch.Generator("cpu").manual_seed(seed)
    usual = {"num_inference_steps": steps, "generator": generator, "output_type": output}
    return {name: value for name, value in usual.items() if name in takes} | dict(more) | own


def _label(asked: str | int) -> int:
    try:
        return int(asked)
    except ValueError as error:
        raise RequestError(f"the pipeline takes classes by number, not '{asked}'") from error
