"""The form of the third tab is a run of `ditkit gen3d`; a part that was uploaded is completed, another file is not."""

import numpy as np
import pytest
from typer.testing import CliRunner

from ditkit.cli.app import app
from ditkit.shapes.clouds import write_ply
from ditkit.ui.shapes import MESH, PARTS, Shapes, wanted

FORM = ("dit3d-shapes", ["chair"], "2", "", "3", "", "near-lossless", "", [MESH], "runtime.threads=1")


@pytest.fixture
def tab(queue, served) -> Shapes:
    return Shapes(queue, served)


def test_the_form_is_a_command_line_that_the_program_understands(tab):
    run = wanted(*FORM)
    assert " ".join(run.words) == "--model dit3d-shapes --category chair --count 2 --steps 3 --mesh --cache runtime.threads=1"
    result = CliRunner().invoke(app, [*run.arguments(tab.queue.root), "--cfg"])
    assert result.exit_code == 0, result.output


def test_only_a_cloud_that_was_uploaded_is_completed(tab, tmp_path):
    cloud = np.random.default_rng(0).normal(size=(40, 3))
    for place in (tab.queue.root / PARTS / "a.ply", tmp_path / "b.ply"):
        write_ply(place, cloud)
    inside = tab.show_line(*FORM, {"path": str(tab.queue.root / PARTS / "a.ply"), "name": "a.ply"})
    outside = tab.show_line(*FORM, {"path": str(tab.queue.root / PARTS / ".." / ".." / "b.ply"), "name": "b.ply"})
    assert f"--from {tab.queue.root / PARTS / 'a.ply'}" in inside and "--from" not in outside


def test_clouds_are_shown_to_be_turned_with_their_files_beside(tab, made):
    tab.run(1, *FORM, None)
    folder = made(tab.queue.jobs()[0].folder, 0, clouds=[{"class": "chair", "seed": 0}])
    write_ply(folder / "clouds" / "000000.ply", np.random.default_rng(0).normal(size=(40, 3)))
    shown = str(tab.show(None, None)[0])
    assert "chair, seed 0; drag to turn it" in shown and ".ply" in shown and ".obj" not in shown
