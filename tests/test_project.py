"""What pyproject.toml, constraints.txt and the Makefile promise each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ditkit

ROOT = Path(__file__).parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DECLARED: list[str] = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]


def pins() -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


@pytest.mark.parametrize("requirement", DECLARED)
def test_every_dependency_says_why_it_is_there(requirement: str) -> None:
    assert re.search(rf'^ *"{re.escape(requirement)}", +# \w', PYPROJECT, re.MULTILINE)


def test_nothing_declared_or_pinned_replaces_the_torch_that_is_there() -> None:
    assert {"torchvision", "torchaudio", "timm"}.isdisjoint([*map(name, DECLARED), *(pin.name for pin in pins())])


def test_the_constraints_pin_every_dependency() -> None:
    tested = [*PROJECT["dependencies"], *EXTRAS["dev"], *EXTRAS["tensorboard"]]  # `metrics` brings torchvision: not in the tested set
    assert {name(line) for line in tested} - {"ditkit"} <= {pin.name for pin in pins()}


def test_every_constraint_is_one_exact_version_in_alphabetical_order() -> None:
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pins())
    names = [canonicalize_name(pin.name) for pin in pins()]
    assert names == sorted(names)


def test_pins_lie_within_what_the_package_allows() -> None:
    versions = {pin.name: next(iter(pin.specifier)).version for pin in pins()}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_installed_version_is_the_one_of_the_source() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", ditkit.__version__)


def test_make_help_says_what_every_target_does() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    help_text = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", "help"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in help_text.splitlines()] == phony
