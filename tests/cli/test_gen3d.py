"""`ditkit gen3d`: from the words typed to the configuration that the task gets."""

from pathlib import Path

import pytest

from ditkit.cli import completion
from ditkit.config.schema import AutoCache, DDPMConfig, FileCache, Gen3DConfig


def test_without_words_it_asks_for_the_defaults(ditkit_command, asked):
    ditkit_command("gen3d")
    [(name, (config, _))] = asked.calls
    assert (name, config) == ("gen3d.run", Gen3DConfig())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--category", "chair", "--category", "2"], Gen3DConfig(classes=["chair", "2"])),
        (["--count", "8", "--points", "1024", "--mesh"], Gen3DConfig(count=8, points=1024, mesh=True)),
        (["--from", "half a chair.ply", "--seed", "3"], Gen3DConfig(partial="half a chair.ply", seed=3)),
        (["--from", "runs/a/manifest.json"], Gen3DConfig(source="runs/a/manifest.json")),
        (["--from", "runs/a", "--out", "runs/b"], Gen3DConfig(source="runs/a", out="runs/b")),
        (
            ["--solver", "ddpm", "sampler.variance=fixedsmall", "--steps", "250"],
            Gen3DConfig(sampler=DDPMConfig(variance="fixedsmall"), steps=250),
        ),
        (["--cache", "--guidance", "1.5"], Gen3DConfig(cache=AutoCache(), guidance=1.5)),
        (["--plan", "p.json", "--batch", "2"], Gen3DConfig(cache=FileCache(path="p.json"), batch=2)),
    ],
)
def test_flags_and_overrides_become_the_configuration(ditkit_command, asked, words: list[str], expected: Gen3DConfig):
    result = ditkit_command("gen3d", *words)
    assert result.exit_code == 0, result.stderr
    [(_, (config, _))] = asked.calls
    assert config == expected


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--points", "15"], "ditkit: points must be at least 16, not 15\n"),
        (
            ["--from", "runs/a", "--count", "2"],
            "ditkit: --from runs/a repeats a run as it was; leave out --count 2 (only --out can differ)\n",
        ),
        (["--from", "a.ply", "partial=b.ply"], "ditkit: partial is said twice: partial='a.ply' and partial=b.ply\n"),
    ],
)
def test_what_cannot_be_is_one_line(ditkit_command, words: list[str], line: str):
    result = ditkit_command("gen3d", *words)
    assert (result.exit_code, result.stderr) == (2, line)


def test_a_folder_is_a_run_whatever_its_name(ditkit_command, asked, tmp_path: Path):
    (tmp_path / "run.ply").mkdir()
    ditkit_command("gen3d", "--from", str(tmp_path / "run.ply"))
    assert asked.calls[0][1][0].source == str(tmp_path / "run.ply")


def test_a_dry_run_only_estimates(ditkit_command, asked):
    ditkit_command("gen3d", "--dry-run", "--count", "3")
    assert asked.calls == [("gen3d.estimate", (Gen3DConfig(count=3),))]


def test_models_and_categories_are_completed():
    assert completion.clouds("dit3d-sh") == ["dit3d-shapes"]
