"""The form of the first tab is a run of `ditkit sample`, whose pictures appear as they are made."""

import shlex

import pytest
from dash import no_update
from typer.testing import CliRunner

from ditkit.cli.app import app
from ditkit.ui.pictures import Pictures, wanted

EMPTY = {
    "classes": [],
    "prompt": None,
    "negative": "",
    "size": None,
    "count": "2",
    "steps": "",
    "guidance": None,
    "speed": "uncached",
    "seed": "",
    "batch": "4",
    "more": "",
}


@pytest.fixture
def tab(queue, served) -> Pictures:
    return Pictures(queue, served)


def test_the_form_is_a_command_line_that_the_program_understands(tab):
    form = EMPTY | {"classes": ["fox"], "prompt": "unread", "speed": "half cost", "guidance": "3.5"}
    line = tab.show_line("dit-emoji", *form.values())
    assert line.startswith("ditkit sample --model dit-emoji --class fox --count 2 --guidance 3.5 --batch 4 --cache --budget 0.5 --out ")
    result = CliRunner().invoke(app, [*shlex.split(line)[1:], "--cfg"])
    assert result.exit_code == 0, result.output


def test_a_model_that_reads_is_asked_in_words(tab):
    form = EMPTY | {"classes": ["fox"], "prompt": " a fox \n\nan owl", "negative": "blurry", "size": "72x128"}
    run = wanted("pixart-emoji", *form.values())
    assert shlex.join(run.words[2:]) == "--prompt 'a fox' --prompt 'an owl' --negative blurry --size 72x128 --count 2 --batch 4"


def test_what_is_asked_for_is_put_into_the_queue_by_a_click_alone(tab):
    values = ["dit-emoji", *EMPTY.values()]
    assert tab.run(None, *values) == "" and not tab.queue.jobs()
    assert tab.run(1, *values) == tab.run(2, *values) == "run 1 is in the queue"
    assert tab.show_line(*values) == tab.queue.jobs()[0].asked.line(tab.queue.root)


def test_pictures_appear_as_they_are_made_and_nothing_is_drawn_anew_without_news(tab, made):
    assert "What you draw appears here" in str(tab.show(None, None)[0])
    tab.run(1, "dit-emoji", *EMPTY.values())
    made(tab.queue.jobs()[0].folder, 1, images=[{"class": "<b>fox</b>", "seed": 3}])
    shown, seen = tab.show(None, None)
    assert "alt='<b>fox</b>, seed 3'" in str(shown)  # React shows text as text
    assert tab.show(None, seen) == (no_update, no_update)
