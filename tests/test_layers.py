"""Imports point down the layers, packages on one line do not see each other, and some libraries have one door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ditkit"

LAYERS = (  # from the top; `ditkit` is __init__.py, which offers the public API lazily
    {"__main__"},
    {"ditkit", "cli"},
    {"ui"},
    {"tasks", "config.compose"},
    {"results"},
    {"pipelines"},
    {"routing", "training", "grounding", "metrics"},
    {"data"},
    {"engine", "shapes"},
    {"models", "codecs", "text"},
    {"nn", "diffusion", "cache"},
    {"execution", "config", "files"},
    {"errors"},
)
DEPTH = {unit: depth for depth, layer in enumerate(LAYERS) for unit in layer}
BLIND = {"models": {"cache", "diffusion"}}  # a backbone does not know what calls it
DOORS = {"hydra": "config.compose", "omegaconf": "config.compose", "open3d": "shapes"}
HEAVY = {"torch", "diffusers", "transformers", "open3d", "scipy", "matplotlib", "dash", "plotly"}


def unit(module: str) -> str:
    """The layer table's name for a module: `ditkit.nn.mlp` is in `nn`; `config.compose`, which knows Hydra, stands apart from `config`."""
    parts = module.split(".")[1:] or ["ditkit"]
    return "config.compose" if parts[:2] == ["config", "compose"] else parts[0]


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: line {node.lineno} imports relatively"
            deeper = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES
            yield from deeper or {node.module} - {"ditkit"}  # whose version everybody may read


MODULES = {name for name, _ in modules()}
EDGES = [(name, target) for name, path in modules() for target in imports(path)]


def test_every_module_has_a_layer() -> None:
    assert {unit(name) for name, _ in modules()} <= set(DEPTH), "give the new module its place in LAYERS"


def test_imports_point_down() -> None:
    inside = [(name, target) for name, target in EDGES if target.split(".")[0] == "ditkit" and unit(name) != unit(target)]
    wrong = [f"{name} imports {target}" for name, target in inside if DEPTH[unit(name)] >= DEPTH.get(unit(target), -1)]
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({name: {target for source, target in EDGES if source == name} for name in MODULES}).prepare()  # or CycleError


@pytest.mark.parametrize("who", BLIND)
def test_models_do_not_know_what_calls_them(who: str) -> None:
    wrong = [f"{name} imports {target}" for name, target in EDGES if unit(name) == who and unit(target) in BLIND[who]]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", DOORS)
def test_one_package_alone_imports(library: str) -> None:
    assert {unit(name) for name, target in EDGES if target.split(".")[0] == library} <= {DOORS[library]}


def test_the_command_line_starts_without_heavy_libraries() -> None:
    light = [name for name, _ in modules() if unit(name) in ("ditkit", "cli", "config", "errors")]
    code = f"import {', '.join(light)}, sys; print(*sorted({HEAVY} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
