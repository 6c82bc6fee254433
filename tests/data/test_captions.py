"""Captions are true of what they describe, and read well."""

import json
import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest

from ditkit.data.captions import COLOURS, all_shown, caption, counted, held_out, one, plural, relations, words
from ditkit.data.scenes import Box

NOUNS: list[str] = json.loads((files("ditkit") / "assets" / "classes" / "emoji.json").read_text(encoding="utf-8"))
CENTRE: Box = (40, 40, 60, 60)


def square(x: float, y: float, side: float) -> Box:
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("fox", "foxes"),
        ("butterfly", "butterflies"),
        ("monkey", "monkeys"),
        ("bus", "buses"),
        ("peach", "peaches"),
        ("tomato", "tomatoes"),
        ("fish", "fish"),
        ("snowman", "snowmen"),
        ("ice cream", "ice creams"),
        ("red heart", "red hearts"),
    ],
)
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many
    assert counted(noun, 3) == f"three {many}"


def test_articles() -> None:
    assert [one(noun) for noun in ("fox", "owl", "unicorn", "umbrella", "corn")] == ["a fox", "an owl", "a unicorn", "an umbrella", "corn"]


def test_what_one_object_is_to_another() -> None:
    assert relations(square(20, 50, 20), CENTRE) == ("left",)
    assert relations(square(80, 52, 20), CENTRE) == ("right",)
    assert relations(square(50, 20, 20), CENTRE) == ("above",)
    assert relations(square(50, 85, 28), CENTRE) == ("below", "bigger")
    assert relations(square(20, 50, 14), CENTRE) == ("left", "smaller")
    assert relations(square(54, 54, 20), CENTRE) == ()


def test_a_caption_of_two_is_true_of_their_boxes() -> None:
    rng = np.random.default_rng(0)
    seen: set[str] = set()
    truths: dict[str, bool] = {}
    for _ in range(600):
        boxes = [square(rng.uniform(20, 76), rng.uniform(20, 76), rng.uniform(20, 60)) for _ in range(2)]
        said = caption(["fox", "owl"], boxes, rng, 96)
        match = re.fullmatch(r"(a fox|an owl) (.+?)(?: (a fox|an owl)(?: (?:on|at) the \w+)?)?", said)
        assert match, said
        first, second = boxes if match[1] == "a fox" else boxes[::-1]
        dx, dy = ((first[axis] + first[axis + 2] - second[axis] - second[axis + 2]) / 2 for axis in (0, 1))
        side, other = first[2] - first[0], second[2] - second[0]
        truths = {
            "left": dx < 0 and abs(dx) > abs(dy),
            "right": dx > 0 and abs(dx) > abs(dy),
            "above": dy < 0 and abs(dy) > abs(dx),
            "over": dy < 0 and abs(dy) > abs(dx),
            "top": dy < 0 and abs(dy) > abs(dx),
            "below": dy > 0 and abs(dy) > abs(dx),
            "under": dy > 0 and abs(dy) > abs(dx),
            "bottom": dy > 0 and abs(dy) > abs(dx),
            "bigger": side > 1.3 * other,
            "larger": side > 1.3 * other,
            "smaller": other > 1.3 * side,
            "and": True,
        }
        word = next(word for word in match[2].split() if word in truths)
        assert truths[word], said
        seen.add(word)
    assert seen == set(truths)


def test_objects_are_counted() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        nouns = ["fox", "owl", "fox", "corn"]
        said = caption(nouns, [CENTRE] * 4, rng, 96)
        assert "two foxes" in said and "an owl" in said and "corn" in said
        assert re.fullmatch(r"[^,]+, [^,]+ and [^,]+", said)
    assert caption(["owl", "owl"], [CENTRE] * 2, rng, 96) == "two owls"


def test_only_plainly_small_and_big_objects_are_called_so() -> None:
    rng = np.random.default_rng(0)
    said = {side: {caption(["owl"], [square(48, 48, side)], rng, 96) for _ in range(60)} for side in (30, 50, 80)}
    plain = {"an owl", "a photo of an owl", "a picture of an owl"}
    assert said == {30: plain | {"a small owl"}, 50: plain, 80: plain | {"a big owl"}}


def test_a_background_is_named_by_its_colour_at_times() -> None:
    rng = np.random.default_rng(0)
    for colour in COLOURS:
        said = {caption(["corn"], [CENTRE], rng, 96, colour) for _ in range(60)}
        assert f"corn on {one(colour)} background" in said and "corn" in said
    assert one("orange") == "an orange"


def test_a_tenth_of_the_pairs_is_held_out_in_either_order() -> None:
    pairs = list(combinations(NOUNS, 2))
    kept = [pair for pair in pairs if held_out(*pair)]
    assert 0.08 < len(kept) / len(pairs) < 0.12
    assert all(held_out(second, first) for first, second in kept)
    assert not any(held_out(noun, noun) for noun in NOUNS)
    assert {noun for pair in kept for noun in pair} == set(NOUNS)  # every noun has pairs to be evaluated on
    assert not all_shown(["moon", *kept[0]]) and all_shown(["fox", "fox"])
    assert (held_out("fox", "dog"), held_out(*kept[0])) == (False, True)


def test_the_words_are_listed_once_each_in_order() -> None:
    assert list(words(NOUNS)) == sorted(set(words(NOUNS)))
    assert {"fox", "foxes", "ice", "creams", "background", "four"} <= set(words(NOUNS))
