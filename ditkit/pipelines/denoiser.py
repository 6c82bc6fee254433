"""The network that a pipeline calls at every step: which of its modules that is, what it is called with, and what it is known by."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ditkit.errors import PlanMismatch

MODULES = ("transformer", "unet")  # under which diffusers' pipelines keep it
TIMES = ("timestep", "timesteps", "t", "time", "sigma", "sigmas")  # what its forward calls the time


@dataclass(frozen=True)
class Denoiser:
    """`pipeline` and `scheduler` are names of classes, None where there is no pipeline; `configuration` is a hash."""

    module: nn.Module
    name: str
    configuration: str
    pipeline: str | None = None
    scheduler: str | None = None

    @property
    def known_as(self) -> str:
        """What a plan for it names as its model."""
        return self.pipeline or self.name


def find(pipe: Any, module: str | nn.Module | None = None) -> Denoiser:
    """The denoiser of a pipeline, of anything else that holds one, or itself; raises `PlanMismatch` where there is none."""
    found = _found(pipe, module)
    if _time_name(found) is None:
        raise PlanMismatch(f"{_class(found)} is not told a time (none of {', '.join(TIMES)}), so that nothing says where a run is")
    scheduler = getattr(pipe, "scheduler", None)
    pipeline = None if pipe is found or not hasattr(pipe, "scheduler") else type(pipe).__name__
    return Denoiser(found, _class(found), _configuration(found), pipeline, type(scheduler).__name__ if scheduler is not None else None)


def scheduler_of(pipe: Any) -> str | None:
    """The name of the class of a pipeline's scheduler as it is now."""
    scheduler = getattr(pipe, "scheduler", None)
    return None if scheduler is None else type(scheduler).__name__


def time_of(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float:
    """The time that a call names; of several, such as one for every frame, the noisiest."""
    name = _time_name(module)
    value = kwargs.get(str(name))
    if value is None and (place := _parameters(module).index(str(name))) < len(args):
        value = args[place]
    if value is None:
        raise PlanMismatch(f"{_class(module)} was called without its {name}")
    return float(value.max()) if isinstance(value, Tensor) else float(value)


def input_of(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The first argument of a call: the noisy latents."""
    return args[0] if args else kwargs.get(_parameters(module)[0])


def _found(pipe: Any, module: str | nn.Module | None) -> nn.Module:
    if isinstance(module, nn.Module):
        return module
    for name in MODULES if module is None else (module,):
        if isinstance(found := getattr(pipe, name, None), nn.Module):
            return found
    if module is None and isinstance(pipe, nn.Module):
        return pipe
    held = sorted(name for name, value in vars(pipe).items() if isinstance(value, nn.Module)) if hasattr(pipe, "__dict__") else []
    if module is not None:
        raise PlanMismatch(f"{type(pipe).__name__} has no module named '{module}'; it has {', '.join(held) or 'none'}")
    hint = f"module= takes one of {', '.join(held)}" if held else "module= takes the network that is called at every step"
    raise PlanMismatch(f"{type(pipe).__name__} has no transformer and no unet; {hint}")


def _bare(module: nn.Module) -> Any:
    """The module that was compiled, if it was."""
    return getattr(module, "_orig_mod", module)


def _class(module: nn.Module) -> str:
    return type(_bare(module)).__name__


def _parameters(module: nn.Module) -> list[str]:
    """The names of what forward takes, in order."""
    cached = _PARAMETERS.get(kind := type(_bare(module)))
    if cached is None:
        cached = _PARAMETERS[kind] = list(inspect.signature(kind.forward).parameters)[1:]
    return cached


_PARAMETERS: dict[type, list[str]] = {}


def _time_name(module: nn.Module) -> str | None:
    names = _parameters(module)
    return next((name for name in TIMES if name in names), None)


def _configuration(module: nn.Module) -> str:
    """A hash of what the network is, not of its weights: its configuration, or else the shapes of its parameters."""
    bare = _bare(module)
    if isinstance(config := getattr(bare, "config", None), Mapping):
        facts: Any = {key: value for key, value in config.items() if not key.startswith("_")}
    else:
        facts = {name: list(value.shape) for name, value in bare.named_parameters()}
    text = json.dumps([_class(module), facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
