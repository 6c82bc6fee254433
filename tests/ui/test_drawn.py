"""Strokes, words and files become boxes, and boxes the layout that the command line reads."""

import json

import pytest

from ditkit.errors import RequestError
from ditkit.grounding.layout import Box, Layout, Phrase
from ditkit.grounding.layout_file import as_data, layout_of, parse_layouts
from ditkit.ui import drawn

FOX = {"id": 1, "label": "fox", "edges": [0.1, 0.2, 0.5, 0.9]}
OWL = {"id": 2, "label": "owl", "edges": [0.5, 0.1, 0.9, 0.6]}


def shape(name: str | None, left: float, top: float, right: float, bottom: float) -> dict:
    return {"name": name, "x0": left, "y0": top, "x1": right, "y1": bottom}


def test_a_rectangle_that_is_drawn_is_one_more_box_however_it_was_dragged():
    drawn_last = drawn.redrawn([FOX], {"shapes": [shape("1", 0.1, 0.2, 0.5, 0.9), shape(None, 0.81234, 1.2, 0.3, 0.4)]})
    assert drawn_last == [FOX, {"id": 2, "label": "", "edges": [0.3, 0.4, 0.812, 1.0]}]


def test_a_click_is_no_box_and_a_canvas_that_was_not_drawn_on_changes_nothing():
    assert drawn.redrawn([FOX], {"shapes": [shape("1", 0.1, 0.2, 0.5, 0.9), shape(None, 0.3, 0.3, 0.302, 0.6)]}) == [FOX]
    assert drawn.redrawn([FOX], {"autosize": True}) == [FOX]


def test_boxes_are_moved_resized_and_erased():
    assert drawn.redrawn([FOX, OWL], {"shapes[1].x0": 0.95, "shapes[1].y1": 0.7})[1]["edges"] == [0.9, 0.1, 0.95, 0.7]
    assert drawn.redrawn([FOX, OWL], {"shapes": [shape("2", 0.5, 0.1, 0.9, 0.6)]}) == [OWL] == drawn.without([FOX, OWL], 1)


def test_a_canvas_shows_a_move_already_unless_it_left_the_picture():
    assert drawn.is_shown({"shapes[0].x0": 0.1, "shapes[0].x1": 0.5}) and not drawn.is_shown({"shapes[0].x0": -0.1})
    assert not drawn.is_shown({"shapes": []})


def test_a_new_box_is_never_taken_for_one_that_was_removed():
    assert drawn.added(drawn.without([FOX, OWL], 1))[1]["id"] == 3


def test_typed_labels_and_edges_count_and_bad_edges_are_refused():
    boxes = drawn.relabelled([FOX, OWL], {1: " red fox ", 2: None}, {1: "0, 0, 0.5, 1", 2: drawn.in_words(OWL["edges"])})
    assert [(box["label"], box["edges"]) for box in boxes] == [("red fox", [0, 0, 0.5, 1]), ("", OWL["edges"])]
    with pytest.raises(RequestError, match="cannot read the box"):
        drawn.relabelled([FOX], {1: "fox"}, {1: "0, 0, 1"})


def test_a_prompt_is_made_of_the_labels_or_written():
    assert drawn.layout_from([FOX], "").prompt == "a fox"
    assert drawn.layout_from([FOX, OWL, {**FOX, "id": 3}], None).prompt == "a fox and an owl"
    assert drawn.layout_from([FOX], " the fox runs ").prompt == "the fox runs"
    with pytest.raises(RequestError, match="'fox' is not in the prompt 'a cat'"):
        drawn.layout_from([FOX], "a cat")
    with pytest.raises(RequestError, match="1 of 2 boxes have no label"):
        drawn.layout_from([FOX, {**OWL, "label": ""}], "")


def test_the_file_and_the_command_line_say_the_same_layout_to_the_last_digit():
    boxes = drawn.of_layout(Layout("a fox", (Phrase("fox", (Box(1 / 3, 0.1 + 0.2, 2 / 3, 1.0), Box(0.0, 0.0, 0.1, 1e-5))),), 128, 96))
    layout = drawn.layout_from(boxes, "a fox", "96x128")
    (read,) = parse_layouts(json.dumps(as_data(layout)), "boxes.json")
    assert read == layout and read.phrases == layout_of("a fox", drawn.as_options(boxes)).phrases
    assert (read.height, read.width) == (96, 128)


@pytest.mark.parametrize("size", ["96", "axb", "96x", "1e3x2", "-96x96"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(RequestError, match="cannot read the size"):
        drawn.layout_from([FOX], "", size)
