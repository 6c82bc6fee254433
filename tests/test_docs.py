"""The examples of the documentation run, are short, and do what the text beside them says."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

from ditkit.cache.cost import trajectory_cost
from ditkit.cache.plan import read_plan, write_plan
from ditkit.cli.app import app
from ditkit.codecs.registry import load_codec
from ditkit.config.schema import COMMANDS as CONFIGURED
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.models.spec import Defaults, ModelSpec
from tests.closeness import assert_close

DOCS = Path(__file__).parent.parent / "ditkit" / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCKS = re.findall(r"^```python\n(.*?)^```", (DOCS / "extending.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    """The names that the three examples define."""
    names: dict[str, Any] = {"__name__": "examples"}
    for block in BLOCKS:
        exec(compile(block, "extending.md", "exec"), names)
    return names


@pytest.fixture
def model(examples: dict[str, Any]) -> Model:
    params = examples["ConvParams"](width=8, depth=3, input_size=6)
    torch.manual_seed(0)
    network = examples["ConvNet"](params).eval().requires_grad_(False)
    spec = ModelSpec("conv", "conv", params, "linear", "pixels", 6, 3, Defaults("ddim", 4, 2.0))
    return Model(spec, network, load_codec("pixels"), torch.device("cpu"))


def latents(model: Model, solver: Any, plan: Any = None) -> torch.Tensor:
    asked = SamplingRequest((0, 1), (5, 6), solver, guidance=2.0, plan=plan)
    return torch.cat([batch.latents for batch in sample(model, asked)])


def test_examples_are_short() -> None:
    lines = [[line for line in block.splitlines() if line] for block in BLOCKS]
    assert len(BLOCKS) == 3 and max(map(len, lines)) <= 40


def test_the_solver_of_the_example_is_ddim(examples: dict[str, Any], model: Model) -> None:
    assert_close(latents(model, examples["euler"](linear(), 5)), latents(model, SOLVERS["ddim"](linear(), 5)))


def test_the_policy_of_the_example_saves_attention_alone(examples: dict[str, Any], tmp_path: Path) -> None:
    from ditkit.models.blank import blank
    from ditkit.models.dit import DiTParams

    backbone = blank(DiTParams(width=32, depth=2, heads=2, patch=2, input_size=8, classes=3))
    plan = examples["attention_every"](2, backbone.sites, [9.0, 6.0, 3.0, 0.0])
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan and plan.reused == 0.25


def test_the_family_of_the_example_samples_with_and_without_a_plan(examples: dict[str, Any], model: Model) -> None:
    from ditkit.cache.policies import every, everything

    solver = SOLVERS["ddim"](linear(), 4)
    plain = latents(model, solver)
    assert torch.equal(latents(model, solver, everything(model.backbone.sites, solver.times)), plain)
    plan = every(2, model.backbone.sites, solver.times)
    assert not torch.equal(latents(model, solver, plan), plain)
    assert trajectory_cost(model.backbone.multiply_adds(), 4, 1, plan).saved > 0.4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_files_and_pages_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\]\(([\w-]+\.md)\)", text):
        assert (DOCS / name).is_file(), name
    for name in re.findall(r"`((?:tests|ditkit|conf)/[\w/.-]+)`", text):
        assert (DOCS.parent.parent / name).exists(), name


COMMANDS = [
    line.removeprefix("$ ")
    for page in PAGES
    for line in page.read_text(encoding="utf-8").splitlines()
    if line.startswith("$ ") and "ditkit" in line
]


BESIDE_TABLES = [
    " ".join(line.replace("...", "").split())
    for page in PAGES
    for line in re.findall(rf"(?<!\S)\(?`(ditkit (?:{'|'.join(CONFIGURED)}) [^`]*\s[^`]+)`", page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("line", list(dict.fromkeys([*(line for line in COMMANDS if " pip " not in f" {line}"), *BESIDE_TABLES])))
def test_every_command_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)
    words = words[words.index("ditkit") + 1 :]
    if words[0] in CONFIGURED:
        result = CliRunner().invoke(app, [*words, "--cfg"])
        assert result.exit_code == 0, result.output
    else:
        _parse(get_command(app), words)


SHOWN = [
    (page, lines[-1].removeprefix("$ "), shown.rstrip().split("\n"))
    for page in PAGES
    for commands, shown in re.findall(
        r"^```console\n((?:(?!^```).)*)^```\n\n```text\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    if re.search("--dry-run|ditkit models|ditkit plan show", (lines := commands.rstrip().split("\n"))[-1])
]


@pytest.mark.parametrize(("page", "line", "shown"), SHOWN, ids=lambda value: value if isinstance(value, str) else "")
def test_what_costs_nothing_prints_what_the_page_shows(page: Path, line: str, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS.parent.parent)
    words = re.sub(r" --png \S+", "", line).split()[1:]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    rest = iter(text.rstrip() for text in result.stdout.splitlines())
    for text in shown:
        assert "..." in text.split() or any(text.rstrip() == other for other in rest), f"{page.name}: {text}"


def test_the_pages_show_what_costs_nothing() -> None:
    assert {page.name for page, _, _ in SHOWN} == {"ground.md", "models.md", "plan.md", "sample.md"}


def _parse(command: Any, words: list[str], parent: Any = None) -> None:
    """Read the words as the command line does, without running anything; raises what it would complain of."""
    context = command.make_context(command.name, list(words), parent=parent)
    if hasattr(command, "resolve_command"):
        _, chosen, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        _parse(chosen, rest, context)
