"""A configuration as JSON data and back, so that a manifest can repeat its run."""

from dataclasses import asdict
from typing import Any, TypeVar

from ditkit.config.schema import GROUPS, CodecConfig, DataConfig, RulesConfig, RunConfig, RuntimeConfig, TextConfig, TrainConfig
from ditkit.errors import ConfigError

Sampled = TypeVar("Sampled", bound=RunConfig)

NESTED: dict[str, type] = {"codec": CodecConfig, "runtime": RuntimeConfig, "data": DataConfig, "text": TextConfig, "rules": RulesConfig}


def config_to_data(config: RunConfig | TrainConfig) -> dict[str, Any]:
    """Every field, groups included; a group's `name` says which option it is."""
    return asdict(config)


def config_from_data(schema: type[Sampled], data: Any, where: str) -> Sampled:
    """The inverse for a command that samples; raises `ConfigError`, naming `where` the data was found, when it does not fit."""
    try:
        values = {name: _restored(name, value) for name, value in data.items()}
        return schema(**values)
    except (AttributeError, KeyError, TypeError, StopIteration) as error:
        raise ConfigError(f"{where} holds a configuration that this ditkit cannot read: {error}") from error


def complete(request: dict[str, Any]) -> dict[str, Any]:
    """A manifest's request, its groups with the options that they did not have yet when it was written, at their defaults."""
    return request | {name: asdict(_restored(name, request[name])) for name in GROUPS if isinstance(request.get(name), dict)}


def _restored(name: str, value: Any) -> Any:
    if name in GROUPS:
        option = next(option for option in GROUPS[name] if option.name == value["name"])
        return option(**value)
    return NESTED[name](**value) if name in NESTED else value
