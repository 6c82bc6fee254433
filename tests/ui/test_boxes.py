"""Drawn boxes are runs of `ditkit ground`, and a file that gives the same ones."""

import json
import shlex

import pytest
from dash import no_update
from typer.testing import CliRunner

from ditkit.cli.app import app
from ditkit.errors import RequestError
from ditkit.grounding.layout_file import parse_layouts
from ditkit.ui import drawn
from ditkit.ui.box_runs import BESIDE, FAST, PLAIN, wanted
from ditkit.ui.boxes import Boxes

DRAWN = drawn.added(drawn.added([], [0.05, 0.3, 0.45, 0.95], "fox"), [0.5, 0.4, 0.98, 0.9], "apple")
FORM = ("pixart-emoji", "", "", "1", "2", "", "0")


@pytest.fixture
def tab(queue, served) -> Boxes:
    return Boxes(queue, served)


def test_drawn_boxes_are_a_plain_run_and_a_grounded_one_that_the_program_understands(tab):
    plain, grounded = wanted(DRAWN, *FORM, [BESIDE], None)
    assert set(plain.words) - set(grounded.words) == {PLAIN}
    boxes = "--box 'fox: 0.05,0.3,0.45,0.95' --box 'apple: 0.5,0.4,0.98,0.9'"
    assert f"ditkit ground --model pixart-emoji --prompt 'a fox and an apple' {boxes} --count 1" in grounded.line(tab.queue.root)
    for run in (plain, *wanted(DRAWN, "pixart-emoji", "", "72x128", "", "", "", "", [FAST])):
        result = CliRunner().invoke(app, [*shlex.split(run.line(tab.queue.root))[1:], "--cfg"])
        assert result.exit_code == 0, result.output


def test_what_cannot_be_drawn_is_said_in_place_of_the_command_line_and_not_run(tab):
    with pytest.raises(RequestError, match="draw a box first"):
        wanted([], *FORM, [], None)
    unlabelled = drawn.added(DRAWN)
    assert (
        tab.show_line(unlabelled, *FORM, [], None)
        == f"# {tab.run(1, unlabelled, *FORM, [], None)}"
        == "# 1 of 3 boxes have no label; say what each of them holds"
    )
    assert not tab.queue.jobs()


def test_a_click_runs_both_one_after_the_other(tab):
    assert tab.run(1, DRAWN, *FORM, [BESIDE], None) == "runs 1 and 2 are in the queue"
    assert [PLAIN in job.asked.words for job in tab.queue.jobs()] == [True, False]


def test_the_downloaded_layout_is_the_one_that_is_drawn(tab):
    file, said = tab.save(1, DRAWN, "a fox and an apple", "72x128")
    (layout,) = parse_layouts(file["content"], file["filename"])
    assert said == "" and layout == drawn.layout_from(DRAWN, "", "72x128")
    assert json.loads(file["content"])["phrases"][0] == {"text": "fox", "boxes": [[0.05, 0.3, 0.45, 0.95]]}
    assert tab.save(1, [], "", "")[0] is no_update


def test_rows_that_say_it_already_stay_as_they_are(tab):
    ids = [{"boxes": "swatch", "box": box["id"]} for box in DRAWN]
    labels, edges = [box["label"] for box in DRAWN], [drawn.in_words(box["edges"]) for box in DRAWN]
    assert tab.redraw(DRAWN, "", False, ids, labels, edges)[2] is no_update
    assert tab.redraw(DRAWN, "", True, ids, labels, edges)[0] is no_update  # nor does a canvas on which a box was just moved
    assert len(tab.redraw(DRAWN, "", False, ids[:1], labels[:1], edges[:1])[2]) == 2


def test_plain_pictures_stand_beside_grounded_ones(tab, made):
    tab.run(1, DRAWN, *FORM, [BESIDE], None)
    for job in tab.queue.jobs():
        made(job.folder, 1)
        (job.folder / "boxed").mkdir()
        (job.folder / "images" / "000000.png").rename(job.folder / "boxed" / "000000.png")
        made(job.folder, 1)
    shown = str(tab.show(None, None)[0])
    assert shown.index("seed 0, boxes not enforced") < shown.index("seed 0, boxes enforced")
