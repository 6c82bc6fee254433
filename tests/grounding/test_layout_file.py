"""Layout files: what they may hold, what is said of those that are wrong, and that nothing else ever happens."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ditkit.config.layouts import EXAMPLE, SCHEMA, shipped
from ditkit.errors import RequestError
from ditkit.grounding.layout import MOST_BOXES, Box, Layout, Phrase
from ditkit.grounding.layout_file import as_data, layout_of, parse_layouts, read_layouts

DOG = Phrase("dog", (Box(0.1, 0.2, 0.5, 0.9),))
LAYOUT = Layout("a dog and two cats", (DOG, Phrase("cats", (Box(0.5, 0.5, 0.75, 1), Box(0.75, 0.5, 1, 1)))), 96, 48)


def one(**changed: Any) -> dict[str, Any]:
    return {"prompt": "a dog", "phrases": [{"text": "dog", "boxes": [[0.1, 0.2, 0.5, 0.9]]}], **changed}


def boxes(*corners: Any) -> dict[str, Any]:
    return one(phrases=[{"text": "dog", "boxes": list(corners)}])


def test_a_layout_comes_back_from_its_own_data() -> None:
    assert parse_layouts(json.dumps(as_data(LAYOUT)), "x") == (LAYOUT,)
    both = json.dumps([as_data(LAYOUT), one()])
    assert parse_layouts(both, "x") == (LAYOUT, Layout("a dog", (DOG,)))


def test_pixels_are_fractions_of_width_and_height() -> None:
    data = one(units="pixel", width=200, height=100, phrases=[{"text": "dog", "boxes": [[20, 20, 100, 90]]}])
    assert parse_layouts(json.dumps(data), "x") == (Layout("a dog", (DOG,), 200, 100),)


def test_lines_are_layouts(tmp_path: Path) -> None:
    file = tmp_path / "boxes.jsonl"
    file.write_text(json.dumps(one()) + "\n\n" + json.dumps(as_data(LAYOUT)) + "\n")
    assert read_layouts(file) == (Layout("a dog", (DOG,)), LAYOUT)
    file.write_bytes(json.dumps(one(prompt="a dog\u2028and a cat"), ensure_ascii=False).encode() + b"\r\n")
    assert read_layouts(file) == (Layout("a dog\u2028and a cat", (DOG,)),)
    file.write_text(json.dumps(one()) + '\n{"prompt": 3}\n{')
    with pytest.raises(RequestError, match=r"boxes\.jsonl, line 2: prompt is a text, not 3$"):
        read_layouts(file)
    file.write_text(json.dumps(one()) + '\n{"a"}')
    with pytest.raises(RequestError, match=r"boxes\.jsonl is not JSON: Expecting ':' delimiter at line 2, column 5$"):
        read_layouts(file)


def test_the_published_layout_is_read() -> None:
    item = {"prompt": "a dog", "phrases": ["dog"], "bboxes": [[[0.1, 0.2, 0.5, 1.5]]]}
    data = {"0": {**item, "height": 50, "width": 70}, "2": {**item, "aspect_ratio": 2}, "10": item}
    first, second, third = parse_layouts(json.dumps(data), "x")
    assert first == Layout("a dog", (Phrase("dog", (Box(0.1, 0.2, 0.5, 1),)),), 70, 50)
    assert (second.height, second.width) == (724, 362)  # height / width, whatever its documentation says
    assert (third.height, third.width) == (None, None)


def test_words_on_a_command_line_are_a_layout() -> None:
    written = layout_of("a dog: two cats", ["cats: .5, .5, .75, 1", "a dog:0,0,1,0.5", "cats:0.75,0.5,1,1"])
    cats, dog = written.phrases
    assert (cats.text, len(cats.boxes), dog.text, dog.boxes) == ("cats", 2, "a dog", (Box(0, 0, 1, 0.5),))
    for words in ("dog", "dog: 1,2,3", "dog 0,0,1,1", "dog: 0,0,1,b", ""):
        with pytest.raises(RequestError, match="^cannot read the box '"):
            layout_of("a dog", [words])


def pixels(*edges: list[float]) -> dict[str, Any]:
    return {**boxes(*edges), "units": "pixel", "width": 512, "height": 384}


def test_pixels_up_to_the_border_are_in_the_picture() -> None:
    (layout,) = parse_layouts(json.dumps(pixels([0, 192, 512, 384])), "x")
    assert layout.boxes == (Box(0, 0.5, 1, 1),)


def test_words_on_a_command_line_are_told_what_fits_there() -> None:
    with pytest.raises(RequestError) as caught:
        layout_of("a dog", ["dog: 10,20,200,300"])
    said = "the box [10, 20, 200, 300] of 'dog' reaches outside the picture; fractions are from 0 to 1"
    assert str(caught.value) == f"{said}, divide pixels by the picture's width and height"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (3, "a layout is an object with prompt and phrases, not a number"),
        (["a dog"], "x, layout 0: a layout is an object with prompt and phrases, not a text"),
        ([], "holds no layout; 'ditkit ground --example' prints one"),
        ({}, "prompt is missing"),
        ({"propmt": "a"}, "no key named 'propmt' in a layout; it has height, phrases, prompt, units, width"),
        (one(prompt=" "), "a layout with boxes needs a prompt; write what the picture shows"),
        (one(units="px"), "units is 'fraction' or 'pixel', not \"px\""),
        (one(units="pixel"), "boxes in pixels need the width and height that they are counted in"),
        (one(width=5), "a layout gives width and height, or neither"),
        (one(width=0, height=5), "width must be from 1 to 16384 pixels, not 0"),
        (one(width=5.5, height=5), "width is a whole number of pixels, not 5.5"),
        (one(phrases="dog"), 'phrases is a list, not "dog"'),
        (one(phrases=["dog"]), 'phrase 0 is to be {"text": ..., "boxes": [[left, top, right, bottom], ...]}, not "dog"'),
        (one(phrases=[{"text": "dog"}]), "phrase 0: boxes is missing"),
        (one(phrases=[{"text": "dog", "boxes": []}]), "the phrase 'dog' has no box; give it one or leave it out"),
        (one(phrases=[{"text": " ", "boxes": [[0, 0, 1, 1]]}]), "a phrase is empty; copy it from the prompt"),
        (boxes([0, 0, 1]), "phrase 0: a box is [left, top, right, bottom], not [0, 0, 1]"),
        (boxes([0, 0, 1, "1"]), 'phrase 0: an edge of a box is a number, not "1"'),
        (boxes([0, 0, 1, True]), "phrase 0: an edge of a box is a number, not true"),
        (
            boxes([0.5, 0, 0.5, 1]),
            "the box [0.5, 0, 0.5, 1] of 'dog' is empty or inverted; a box is left, top, right, bottom, with left < right and top < bottom",
        ),
        (
            boxes([0, 0.9, 1, 0.1]),
            "the box [0, 0.9, 1, 0.1] of 'dog' is empty or inverted; a box is left, top, right, bottom, with left < right and top < bottom",
        ),
        (
            boxes([0, 0, 10, 1]),
            'the box [0, 0, 10, 1] of \'dog\' reaches outside the picture; fractions are from 0 to 1, and "units": "pixel" counts pixels',
        ),
        (
            boxes([-0.1, 0, 1, 1]),
            "the box [-0.1, 0, 1, 1] of 'dog' reaches outside the picture; fractions are from 0 to 1",
        ),
        (
            boxes([0, 0.123456789, 1.01, 1]),
            "the box [0, 0.123456789, 1.01, 1] of 'dog' reaches outside the picture; fractions are from 0 to 1",
        ),
        (
            pixels([12, 30, 600, 300]),
            "the box [12, 30, 600, 300] of 'dog' reaches outside the picture, which is 512 x 384 pixels",
        ),
        (pixels([-3, 0, 40, 40]), "the box [-3, 0, 40, 40] of 'dog' reaches outside the picture, which is 512 x 384 pixels"),
        (
            pixels([90, 30, 20, 25]),  # left, top, width, height
            "the box [90, 30, 20, 25] of 'dog' is empty or inverted; a box is left, top, right, bottom, with left < right and top < bottom",
        ),
        (
            pixels([0.1, 0.2, 0.5, 0.9]),
            "the box [0.1, 0.2, 0.5, 0.9] of 'dog' is less than a pixel; its numbers look like fractions, "
            'which "units": "fraction" counts',
        ),
        (
            {"prompt": "a dog", "phrases": ["dog"], "bboxes": [[[10, 20, 100, 200]]]},
            "phrase 0: an edge at 200 of 'dog'; bboxes are fractions of the picture, divide pixels by the picture's width and height",
        ),
        (boxes([0, 0, float("nan"), 1]), "the box [0, 0, nan, 1] of 'dog' has an edge that is no finite number"),
        (boxes([0, 0, 10**400, 1]), "the box [0, 0, inf, 1] of 'dog' has an edge that is no finite number"),
        (boxes(*[[0, 0, 1, 1]] * 17), f"a layout has at most {MOST_BOXES} boxes, this one has 17"),
        ({"prompt": "a dog", "phrases": ["dog"], "bboxes": []}, "1 phrases but 0 lists of bboxes; give one list for each phrase"),
        ({"prompt": "a dog", "aspect_ratio": -1}, "aspect_ratio is height / width, from 1/64 to 64, not -1"),
        (one(prompt="a \ud800dog"), "'a ' goes on with half a character (\\ud800); leave it out"),
    ],
)
def test_what_is_wrong_is_one_line(data: Any, line: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_layouts(json.dumps(data), "x")
    expected = line if line.startswith("x") else f"x holds{line[5:]}" if line.startswith("holds") else f"x: {line}"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n "prompt": "a",\n}', "x is not JSON: Illegal trailing comma before end of object at line 2, column 15"),
        ("", "x is not JSON: Expecting value at line 1, column 1"),
        ('{"prompt": "a dog"', "x is not JSON: Expecting ',' delimiter at line 1, column 19"),
    ],
)
def test_malformed_json_is_said_with_line_and_column(text: str, line: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_layouts(text, "x")
    assert str(caught.value) in (
        line,
        "x is not JSON: Expecting property name enclosed in double quotes at line 3, column 1",
    )  # before 3.13


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^cannot read the layout .*gone\.json: No such file or directory$"):
        read_layouts(tmp_path / "gone.json")
    (tmp_path / "b.json").write_bytes(b'{"prompt": "\xff"}')
    with pytest.raises(RequestError, match=r"b\.json is not text in UTF-8: byte 12 cannot be read; save it as UTF-8$"):
        read_layouts(tmp_path / "b.json")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"prompt": ' + "9" * 5000 + "}", '{"a":' * 50_000])
def test_hostile_json_is_one_line(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_layouts(text, "x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    0.5,
    2,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "dog",
    "\ud800",
    "\x00",
    [],
    {},
    [[]],
    [0, 0, 1, 1],
]


def mutated(value: Any, chance: random.Random) -> Any:
    """The value with something somewhere replaced, removed or doubled."""
    if chance.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        key = chance.choice(list(value))
        rest = {name: entry for name, entry in value.items() if name != key}
        return chance.choice([rest, {**value, key: mutated(value[key], chance)}, {**rest, str(chance.choice(VALUES)): value[key]}])
    place = chance.randrange(len(value))
    before, behind = value[:place], value[place + 1 :]
    return chance.choice([before + behind, [*before, mutated(value[place], chance), *behind], [*value, value[place]]])


def test_no_file_ever_leads_to_anything_but_layouts_or_one_line() -> None:
    chance = random.Random(0)
    published = {"0": {"prompt": "a dog", "phrases": ["dog"], "bboxes": [[[0, 0, 1, 1]]], "aspect_ratio": 1.0}}
    starts: list[Any] = [as_data(LAYOUT), [one(), one()], published, one(units="pixel", width=10, height=10)]
    outcomes = {True: 0, False: 0}
    for round_ in range(3000):
        data = chance.choice(starts)
        for _ in range(chance.randint(1, 3)):
            data = mutated(data, chance)
        text = json.dumps(data, ensure_ascii=chance.random() < 0.5)
        if round_ % 4 == 0 and text:  # cut it, or replace a letter
            place = chance.randrange(len(text))
            text = chance.choice([text[:place], text[:place] + chance.choice('[]{}",:0e-') + text[place + 1 :]])
        try:
            found = parse_layouts(text, "boxes.json", lines=round_ % 5 == 0)
        except RequestError as error:
            str(error).encode("utf-8")  # can be printed
            assert "\n" not in str(error) or "\\n" in repr(text)
            outcomes[False] += 1
        else:
            assert all(isinstance(layout, Layout) for layout in found)
            outcomes[True] += 1
    assert min(outcomes.values()) > 100


def test_the_shipped_example_is_a_layout_and_fits_the_shipped_schema() -> None:
    [layout] = parse_layouts(shipped(EXAMPLE), EXAMPLE)
    assert len(layout.boxes) >= 2
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(shipped(SCHEMA))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(json.loads(shipped(EXAMPLE)))
    for good in (as_data(LAYOUT), [one()], {"prompt": "a dog"}):
        assert validator.is_valid(good)
    for bad in ({}, [], one(units="px"), one(units="pixel"), one(width=5), boxes([0, 0, 1]), boxes(), one(extra=1)):
        assert not validator.is_valid(bad)
