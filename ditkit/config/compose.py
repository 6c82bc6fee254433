"""From conf/ and overrides to a checked dataclass. The only module that knows Hydra and OmegaConf.

Their errors never get out: each becomes one `ConfigError` line with the nearest good name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ditkit.config.folder import conf_dir, options
from ditkit.config.numbers import LARGEST, LARGEST_SEED, is_plain
from ditkit.config.quoting import quoted
from ditkit.config.schema import (
    COMMANDS,
    GROUPS,
    AccelerateConfig,
    BenchConfig,
    CacheConfig,
    EvalConfig,
    Gen3DConfig,
    GroundConfig,
    RunConfig,
    SampleConfig,
    SamplerConfig,
    TrainConfig,
    TrainRouterConfig,
)
from ditkit.errors import ConfigError

Config = TypeVar(
    "Config", AccelerateConfig, BenchConfig, EvalConfig, Gen3DConfig, GroundConfig, SampleConfig, TrainConfig, TrainRouterConfig
)

KEY = re.compile(r"[a-z_]\w*(\.\w+)*")
KINDS = {"Integer": "a whole number", "Float": "a number"}


def compose(schema: type[Config], overrides: Sequence[str] = ()) -> Config:
    """The configuration of a command: its YAML, then `overrides` ("steps=20", "cache=every", "cache.period=3"), then the checks.

    Raises `ConfigError` for an option that does not exist, for a value of the wrong kind and for one out of range.
    """
    command = next(name for name, known in COMMANDS.items() if known is schema)
    settings = [_setting(override, command) for override in overrides]
    node = _merged(command, settings)
    try:
        _check_numbers(node, settings)
        config = OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        raise ConfigError(_explain(error, command, overrides)) from error
    assert isinstance(config, schema)
    return config


def as_yaml(config: AccelerateConfig | BenchConfig | EvalConfig | RunConfig | TrainConfig | TrainRouterConfig) -> str:
    """What `--cfg` prints."""
    return OmegaConf.to_yaml(asdict(config))


def register_schemas() -> None:
    """Tell Hydra the dataclasses; the YAML files refer to them as `schema_NAME`."""
    store = ConfigStore.instance()
    # A group starts as its base class, because Hydra lets an option replace only a class that it inherits from.
    store.store(name="schema_sample", node=SampleConfig(sampler=SamplerConfig(), cache=CacheConfig()))
    store.store(name="schema_gen3d", node=Gen3DConfig(sampler=SamplerConfig(), cache=CacheConfig()))
    store.store(name="schema_ground", node=GroundConfig(sampler=SamplerConfig(), cache=CacheConfig()))
    store.store(name="schema_accelerate", node=AccelerateConfig)
    store.store(name="schema_bench", node=BenchConfig(sampler=SamplerConfig()))
    store.store(name="schema_eval", node=EvalConfig)
    store.store(name="schema_train", node=TrainConfig)
    store.store(name="schema_train-router", node=TrainRouterConfig(sampler=SamplerConfig()))
    for group, classes in GROUPS.items():
        for option in classes:
            store.store(group=group, name=f"schema_{option.name}", node=option)


def _merged(command: str, settings: Sequence[str]) -> DictConfig:
    register_schemas()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            return hydra_compose(command, overrides=list(settings))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, command, settings)) from error


def _check_numbers(node: DictConfig, settings: Sequence[str]) -> None:
    """Raise `ConfigError` for a number that is not typed in ASCII digits, or that is beyond all counting."""
    for key, typed in (setting.split("=", 1) for setting in settings):
        value = OmegaConf.select(node, key, throw_on_missing=False)
        kind = "a whole number" if isinstance(value, int) else "a number"
        if _is_number(value) and not is_plain(typed):
            raise ConfigError(f"{key} must be {kind} in the digits 0 to 9, not {typed}")
        if isinstance(value, ListConfig) and value and all(map(_is_number, value)) and not is_plain(typed):
            raise ConfigError(f"{key} must hold numbers in the digits 0 to 9, not {typed}")
    for key, value in _leaves(cast(dict[str, Any], OmegaConf.to_container(node))):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, list | Mapping):
                raise ConfigError(f"{key} is one list, without another in it, as in {key}=[a,b]")
            most = LARGEST_SEED if key.rpartition(".")[2] == "seed" else LARGEST
            if isinstance(each, int) and not isinstance(each, bool) and not -most <= each <= most:
                raise ConfigError(f"{key} must be at most {most}, not {_cut(str(each))}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:20]}... of {len(text)} letters"


def _setting(override: str, command: str) -> str:
    """The override as key=value. A leading + is dropped: Hydra would add a key that nobody reads."""
    key, equals, value = override.lstrip("+").partition("=")
    if not equals or key.startswith("~"):
        raise ConfigError(f"cannot read '{override}'; an option is set by key=value, as in steps=20")
    if not KEY.fullmatch(key) or key.partition(".")[0] == "hydra":
        raise ConfigError(_unknown(key, command, ()))
    if key in _groups(command) and value not in options(key):
        raise ConfigError(_unknown_choice(key, value))
    return f"{key}={value}"


def _groups(command: str) -> list[str]:
    """The groups in the defaults list of a command."""
    defaults = OmegaConf.load(conf_dir() / f"{command}.yaml").defaults
    return [group for entry in defaults if isinstance(entry, DictConfig) for group in map(str, entry)]


def _explain(error: Exception, command: str, settings: Sequence[str]) -> str:
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        return f"cannot read '{error.override}'; put a value with special characters in quotes: \"{key}={quoted(value)}\""
    text = str(error)
    if found := re.match(r"Could not override '([^']+)'", text):
        return _unknown(found[1], command, settings)
    if found := re.match(r"Ambiguous value for argument '([^=']+)=(.*)'\n", text):
        return _of_several(found[1], found[2], command, settings)
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    return _explain_value(cause, command, settings) if isinstance(cause, OmegaConfBaseException) else _first_line(text)


def _of_several(key: str, values: str, command: str, settings: Sequence[str]) -> str:
    """How several values are written for an option that takes one: one after the other is what Hydra would try."""
    node = _merged(command, [setting for setting in settings if setting.partition("=")[0] in _groups(command)])
    if isinstance(OmegaConf.select(node, key, throw_on_missing=False), ListConfig):
        return f"{key} has several values; write a list as {key}=[{values}]"
    return f"{key} takes one value, not several; a text with commas is written as \"{key}='{values}'\""


def _explain_value(error: OmegaConfBaseException, command: str, settings: Sequence[str]) -> str:
    text, key = _first_line(str(error)), str(error.full_key)
    if re.match(r"Key '.*' not in", text):
        return _unknown(key, command, settings)
    if found := re.match(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", text):
        return f"{key} must be {KINDS.get(found[2], found[2])}, not '{_cut(found[1])}'"
    if found := re.match(r"Value '(.*)' is not a valid bool", text):
        return f"{key} must be true or false, not '{found[1]}'"
    if re.match(r"Cannot convert '\w+' to string", text):
        return f"{key} is one text, as in \"{key}='a,b'\", and no list"
    if re.match(r"Invalid value assigned: \w+ is not a ListConfig", text):
        return f"{key} takes a list, as in {key}=[{error.value}]"
    if "missing mandatory value" in text:
        return f"{key} has no value; write {key}=VALUE"
    return f"{key}: {text}"


def _unknown(key: str, command: str, settings: Sequence[str]) -> str:
    """No such key: name the nearest, among those of the chosen option if the key is in a group."""
    groups = _groups(command)
    node = _merged(command, [setting for setting in settings if setting.partition("=")[0] in groups])
    keys = [name for name, _ in _leaves(cast(dict[str, Any], OmegaConf.to_container(node)))]
    group = key.partition(".")[0]
    if group != key and group in GROUPS and group in node:
        where = f"with {group}={node[group].name}"
        keys = [name for name in keys if name.startswith(f"{group}.")]
        known = f"it has {', '.join(keys) or 'no options'}"
    else:
        where, known = f"in {command}", f"ditkit {command} --cfg prints all"
        keys += groups
    by_name = {name.rpartition(".")[2]: name for name in keys} | {name: name for name in keys}
    near = get_close_matches(key, sorted(by_name), n=1, cutoff=0.5)
    return f"no option named '{key}' {where}; " + (f"did you mean '{by_name[near[0]]}'?" if near else known)


def _unknown_choice(group: str, name: str) -> str:
    known = options(group)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? ({', '.join(known)})" if near else f"choose one of {', '.join(known)}"
    return f"no {'solver' if group == 'sampler' else group} named '{name}'; {hint}"


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every option by its dotted name, with its value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif not (name == "name" and prefix.rstrip(".") in GROUPS):
            yield prefix + name, value


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
