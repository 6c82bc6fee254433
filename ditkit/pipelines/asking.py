"""Asking a pipeline for one result, whatever its call takes."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from ditkit.errors import RequestError

NULL = 1000  # the row that diffusers' DiTPipeline takes for "no class", however many classes its network has
Asked = str | int | Mapping[str, Any]
"""A prompt, a class, or all that a call of the pipeline is given."""


def arguments(pipe: Any, asked: Asked, steps: int, seed: int, more: Mapping[str, Any], *, output: str = "latent") -> dict[str, Any]:
    """What the pipeline is called with: of steps, seed and the form of the `output` what it takes, and all of `more`.

    Raises `RequestError` for a prompt where none is taken, and for a class that is not there.
    """
    takes = inspect.signature(type(pipe).__call__ if hasattr(pipe, "scheduler") else pipe).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values())
    if isinstance(asked, Mapping):
        own = dict(asked)
    elif "class_labels" in takes:
        usual_guidance = takes["guidance_scale"].default if "guidance_scale" in takes else 1
        own = {"class_labels": [_label(pipe, asked, more.get("guidance_scale", usual_guidance))]}
    elif "prompt" in takes or anything:
        own = {"prompt": asked}
    else:
        raise RequestError(f"{type(pipe).__name__} takes no prompt; give its arguments as a mapping for each run")
    generator = torch.Generator("cpu").manual_seed(seed)
    usual = {"num_inference_steps": steps, "generator": generator, "output_type": output}
    return {name: value for name, value in usual.items() if name in takes} | dict(more) | own


def _label(pipe: Any, asked: str | int, guidance: float) -> int:
    try:
        label = int(asked)
    except ValueError as error:
        raise RequestError(f"the pipeline takes classes by number, not '{asked}'") from error
    classes = getattr(getattr(getattr(pipe, "transformer", None), "config", None), "num_embeds_ada_norm", None)
    if isinstance(classes, int) and not 0 <= label < classes:
        raise RequestError(f"the pipeline has classes 0 to {classes - 1}, not {label}")
    if isinstance(classes, int) and classes < NULL and guidance > 1:
        raise RequestError(f"{type(pipe).__name__} guides away from class {NULL}, and its network has {classes}; ask for a guidance of 1")
    return label
