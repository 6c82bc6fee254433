"""Every YAML in conf/ composes, says how to run it, and means what its name says."""

from typing import Any

import pytest

from ditkit.config.compose import compose
from ditkit.config.folder import commands, conf_dir, groups, options
from ditkit.config.schema import (
    COMMANDS,
    GROUPS,
    AccelerateConfig,
    BenchConfig,
    EvalConfig,
    Gen3DConfig,
    GroundConfig,
    SampleConfig,
    TrainConfig,
    TrainRouterConfig,
)

FILES = sorted(conf_dir().rglob("*.yaml"))
CHOICES = [(group, name) for group in groups() for name in options(group)]
ROOTS: dict[str, Any] = {"preset": TrainConfig, "recipe": TrainRouterConfig}  # all others belong to sample
NEEDED = {"cache=file": ["cache.path=plan.json"]}


def test_there_is_one_root_file_for_each_configured_command():
    assert commands() == sorted(COMMANDS)


def test_without_overrides_or_a_preset_a_configuration_is_its_schema():
    assert compose(SampleConfig) == SampleConfig()
    assert compose(Gen3DConfig) == Gen3DConfig()
    assert compose(GroundConfig) == GroundConfig()
    assert compose(EvalConfig) == EvalConfig()
    assert compose(AccelerateConfig) == AccelerateConfig()
    assert compose(BenchConfig, ["out=runs/bench"]) == BenchConfig()
    assert compose(TrainConfig, ["preset=none", "out=runs/train"]) == TrainConfig()
    assert compose(TrainRouterConfig, ["out=runs/router"]) == TrainRouterConfig()


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_option_of_every_group_composes(group: str, name: str):
    overrides = [f"{group}={name}", *NEEDED.get(f"{group}={name}", [])]
    config = compose(ROOTS.get(group, SampleConfig), overrides)
    if group in GROUPS:
        assert getattr(config, group).name == name


@pytest.mark.parametrize("group", GROUPS)
def test_every_class_of_a_group_has_a_file(group: str):
    assert options(group) == sorted(option.name for option in GROUPS[group])


@pytest.mark.parametrize("name", [name for name in options("preset") if name != "none"])
def test_a_preset_trains_the_model_it_is_named_after_in_a_folder_of_its_own(name: str):
    config = compose(TrainConfig, [f"preset={name}"])
    assert (config.model, config.out) == (name, f"runs/train-{name}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(conf_dir())))
def test_every_file_begins_by_saying_what_it_is_and_how_to_run_it(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ") and lines[1].startswith("#   ditkit ")
