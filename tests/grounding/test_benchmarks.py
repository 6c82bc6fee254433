"""Prompts of benchmarks as layouts."""

import json
from pathlib import Path

import pytest

from ditkit.data.box_prompts import BoxPrompt
from ditkit.errors import RequestError
from ditkit.grounding.benchmarks import layout_for
from ditkit.grounding.layout import Box, Phrase
from ditkit.tasks.ground import read_named

LINE = {"id": "1", "prompt": "Two cups left of a Dog.", "category": "spatial", "labels": ["cup", "cup", "dog", "table"]}
BOXES = [[0, 0, 128, 128], [128, 0, 256, 128], [256, 256, 512, 512], [0, 500, 512, 512]]


def test_phrases_are_the_prompts_own_words_and_what_it_does_not_name_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "hrs.jsonl"
    file.write_text(json.dumps({**LINE, "boxes": BOXES}) + "\n" + json.dumps({**LINE, "labels": [], "boxes": []}) + "\n")
    first, second = read_named(str(file))
    cups, dog = Phrase("cups", (Box(0, 0, 0.25, 0.25), Box(0.25, 0, 0.5, 0.25))), Phrase("Dog", (Box(0.5, 0.5, 1, 1),))
    assert first.prompt == LINE["prompt"] and first.phrases == (cups, dog)
    assert second.phrases == ()


def test_no_more_boxes_than_a_layout_may_have() -> None:
    asked = BoxPrompt("many", "cups", "counting", labels=("cup",) * 20, boxes=((0.0, 0.0, 1.0, 1.0),) * 20)
    assert len(layout_for(asked).boxes) == 16


def test_lists_in_lists_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    with pytest.raises(RequestError, match=r"deep\.jsonl cannot be read as JSON: maximum recursion depth exceeded"):
        read_named(str(tmp_path / "deep.jsonl"))
