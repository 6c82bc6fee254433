"""The registry as people see it, and conversion between layouts."""

from pathlib import Path

import pytest

from ditkit.errors import DitkitError, UnknownName
from ditkit.models.registry import SPECS
from ditkit.tasks import models


def test_every_model_is_listed_with_its_licence() -> None:
    report = models.listing()
    assert {row[0] for row in report.rows} == set(SPECS)
    assert all(row[-1] for row in report.rows)


@pytest.mark.parametrize("name", ["dit-emoji", "uvit-emoji", "dit-xl-2-256", "uvit-h-2-256", "uvit-cifar10-s-2"])
def test_a_model_is_described(name: str) -> None:
    facts = models.describe(name).facts
    assert facts["classes"] and facts["licence"] and "G multiply-adds" in str(facts["one evaluation"])


def test_the_autoencoder_and_the_judge_that_ship_are_described_by_their_cards() -> None:
    for name in models.HELPERS:
        facts = models.describe(name).facts
        assert facts["licence"] and str(facts["command"]).startswith(f"ditkit train {name} "), name


def test_published_scales_are_translated() -> None:
    assert models.describe("uvit-h-2-256").facts["by default"] == "dpm-solver-2, 50 evaluations, guidance 1.4 (its paper writes 0.4)"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("dit-emojy", "dit-emoji"), ("dit-xl-3", "dit-xl-2-256"), ("DiT-XL/2", "dit-xl-2-256"), ("dit-xl-2-1024", "dit-xl-2-512")],
)
def test_an_unknown_model_is_named_with_its_neighbour(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"^no model named '{name}'; did you mean '{nearest}'\\?$"):
        models.describe(name)


def test_conversion_never_overwrites_a_file(weights: str, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    assert models.convert(weights, str(out), "ditkit").files == [out]
    with pytest.raises(DitkitError, match="exists already; remove it or choose another name"):
        models.convert(weights, str(out), "ditkit")
