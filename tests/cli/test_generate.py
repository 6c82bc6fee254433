"""`ditkit eval --generate`: whose option each override is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from ditkit.cli.generate import divided, generated, sampling
from ditkit.errors import DitkitError
from ditkit.results.report import Report
from ditkit.tasks import gen3d, sample


def test_overrides_go_to_the_command_that_knows_them():
    words = [
        "model=dit-emoji",
        "features=clip",
        "count=8",
        "out=runs/x",
        "data.path=y",
        "sampler.eta=0.5",
        "resamples=9",
        "runtime.device=cpu",
    ]
    own, to_sample = divided(words)
    assert own == ["features=clip", "data.path=y", "resamples=9", "runtime.device=cpu"]
    assert to_sample == ["model=dit-emoji", "count=8", "out=runs/x", "sampler.eta=0.5", "runtime.device=cpu"]


@pytest.mark.parametrize(
    ("model", "measured", "message"),
    [
        ("dit-emoji", ["data.path=nowhere"], "no data at nowhere"),
        ("dit-emoji", ["points=512"], "points means nothing for pictures"),
        ("pixart-emoji height=64 width=128", [], "the judge sees square pictures, these are 128 x 64; take features="),
        ("dit3d-shapes", [], "clouds are measured against others: --data"),
    ],
)
def test_what_cannot_be_measured_is_not_sampled(model: str, measured: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for task in (sample, gen3d):
        monkeypatch.setattr(task, "run", lambda *_: pytest.fail("sampled"))
    with pytest.raises(DitkitError, match=message):
        generated(sampling(f"model={model}".split(), measured), measured)


def test_the_categories_that_are_measured_are_those_that_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(gen3d, "run", lambda config, _: asked.append(config.classes) or Report("", data={"out": "runs/a"}))
    settings = [f"data.path={tmp_path}", "data.categories=[sofa]"]
    for overrides in (["model=dit3d-shapes"], ["model=dit3d-shapes", "classes=[chair]"]):
        assert generated(sampling(overrides, settings), settings) == "runs/a"
    assert asked == [["sofa"], ["chair"]]


def test_cfg_shows_what_is_sampled_and_what_is_measured(ditkit_command: Callable[..., Result]) -> None:
    shown = ditkit_command("eval", "--generate", "--category", "sofa", "--cfg", "model=dit3d-shapes", "count=3", "resamples=5").output
    sampled, measured = shown.split("---\n")
    assert {"model: dit3d-shapes", "count: 3", "- sofa"} <= set(sampled.splitlines())
    assert {"resamples: 5", "  - sofa"} <= set(measured.splitlines())
