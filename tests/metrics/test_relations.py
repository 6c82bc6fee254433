"""The rules on drawn-up detections, one by one, and scores by hand."""

from pathlib import Path

import pytest
import torch

from ditkit.data.box_prompts import Box, BoxPrompt, read_box_prompts
from ditkit.errors import DataError
from ditkit.metrics.detections import Detection, distinct
from ditkit.metrics.relations import POSITIONS, check, colour_of, coloured, hue, judged, score, sizes_hold, spatial_holds

MIDDLE: Box = (0.4, 0.4, 0.6, 0.6)
PLACES: dict[str, Box] = {
    "left": (0.1, 0.4, 0.3, 0.6),
    "right": (0.7, 0.4, 0.9, 0.6),
    "above": (0.4, 0.1, 0.6, 0.3),
    "below": (0.4, 0.7, 0.6, 0.9),
}
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "prompts"
BLACK = torch.full((3, 32, 32), -1.0)


def asked(objects: str, *relations: str, skill: str = "spatial", colours: str = "") -> BoxPrompt:
    return BoxPrompt("p", "a prompt", skill, tuple(objects.split()), relations, tuple(colours.split()))


def seen(**boxes: Box) -> list[Detection]:
    return [Detection(name, 0.9, box) for name, box in boxes.items()]


@pytest.mark.parametrize("words", POSITIONS)
@pytest.mark.parametrize("place", PLACES)
def test_two_objects_lie_as_every_word_says_or_do_not(words: str, place: str) -> None:
    kinds = {"on": "above", "over": "above", "top": "above", "beneath": "below", "under": "below", "underneath": "below", "bottom": "below"}
    meant = kinds.get(words, words.removeprefix("on the ").removesuffix(" of"))
    assert spatial_holds(asked("a b", words), seen(a=PLACES[place], b=MIDDLE)) == (place == meant)


def test_above_and_below_are_content_with_one_edge() -> None:
    tall: Box = (0.4, 0.3, 0.6, 0.9)
    assert spatial_holds(asked("a b", "above"), seen(a=tall, b=MIDDLE))
    assert spatial_holds(asked("a b", "below"), seen(a=tall, b=MIDDLE))
    assert not spatial_holds(asked("a b", "above"), seen(a=MIDDLE, b=MIDDLE))


@pytest.mark.parametrize("pair", [("left", "right"), ("right", "left"), ("above", "below"), ("below", "above")])
def test_between_is_between_sides_or_heights(pair: tuple[str, str]) -> None:
    one, other = (PLACES[name] for name in pair)
    for words in ("between", "among", "in the middle of"):
        assert spatial_holds(asked("a b c", words), seen(a=MIDDLE, b=one, c=other))
        assert not spatial_holds(asked("b a c", words), seen(a=MIDDLE, b=one, c=other))


def test_the_first_of_three_objects_stands_to_each_other_one() -> None:
    rules = asked("a b c", "left", "below")
    assert spatial_holds(rules, seen(a=PLACES["left"], b=MIDDLE, c=(0.0, 0.0, 0.2, 0.2)))
    assert not spatial_holds(rules, seen(a=PLACES["left"], b=MIDDLE, c=PLACES["below"]))
    assert not spatial_holds(rules, seen(a=PLACES["left"], b=MIDDLE))


def test_the_first_two_of_four_objects_stand_to_each_of_the_last_two() -> None:
    rules, low = asked("a b c d", "above", "left"), PLACES["below"]
    assert spatial_holds(rules, seen(a=(0, 0, 0.1, 0.1), b=(0.2, 0, 0.3, 0.1), c=low, d=PLACES["right"]))
    assert not spatial_holds(rules, seen(a=(0, 0, 0.1, 0.1), b=(0.95, 0, 1, 0.1), c=low, d=PLACES["right"]))
    among = asked("a b c d", "between")
    assert spatial_holds(among, seen(a=MIDDLE, b=(0.45, 0.4, 0.65, 0.6), c=PLACES["left"], d=PLACES["right"]))
    assert not spatial_holds(among, seen(a=MIDDLE, b=(0.02, 0.4, 0.05, 0.6), c=PLACES["left"], d=PLACES["right"]))


def test_the_last_detection_of_a_class_counts_and_places_count_once() -> None:
    found = [*seen(a=PLACES["left"], b=MIDDLE), Detection("a", 0.1, PLACES["right"])]
    assert spatial_holds(asked("a b", "right"), found)
    doubled = [*seen(a=PLACES["left"], b=MIDDLE), Detection("c", 0.9, PLACES["left"]), Detection("b", 0.8, (0.4001, 0.4, 0.6, 0.6))]
    assert [each.name for each in distinct(doubled, 64, 64)] == ["a", "b"]


def test_sizes_are_compared_by_area() -> None:
    large, medium, small = (0, 0, 0.8, 0.8), (0, 0, 0.5, 0.5), (0, 0, 0.1, 0.9)
    assert sizes_hold(asked("a b", "bigger"), seen(a=large, b=medium))
    assert not sizes_hold(asked("a b", "larger"), seen(a=small, b=medium))
    assert sizes_hold(asked("a b c", "larger", "smaller"), seen(a=medium, b=small, c=large))
    four = asked("a b c d", "larger", "smaller")
    assert sizes_hold(four, seen(a=medium, b=small, c=small, d=large))
    assert not sizes_hold(four, seen(a=medium, b=small, c=large, d=large))
    assert not sizes_hold(four, seen(a=medium, b=small, c=small))


@pytest.mark.parametrize(
    ("rgb", "value", "name"),
    [
        ((255, 128, 0), 15, "orange"),
        ((255, 255, 0), 30, "yellow"),
        ((0, 255, 0), 60, "green"),
        ((0, 0, 255), 120, "blue"),
        ((255, 0, 255), 150, "red"),
        ((255, 40, 0), 5, "red"),
        ((90, 90, 90), 0, None),
        ((255, 0, 0), 0, None),
    ],
)
def test_hues_are_opencvs_and_their_names_hrss(rgb: tuple[int, int, int], value: int, name: str | None) -> None:
    picture = (torch.tensor(rgb, dtype=torch.float32)[:, None, None] / 127.5 - 1).expand(3, 4, 4)
    hues = hue(picture)
    assert hues.unique().tolist() == [value]
    assert colour_of(hues, Detection("a", 1.0, (0, 0, 1, 1))) == name


def test_a_colour_is_that_of_the_mask_or_else_of_the_box_without_pixels_of_no_hue() -> None:
    picture = torch.full((3, 8, 8), -1.0)
    picture[2, :, :4] = 1  # blue on the left, black elsewhere
    picture[1, :2, 4:] = 1  # green on the upper right
    hues = hue(picture)
    assert colour_of(hues, Detection("a", 1.0, (0, 0.5, 1, 1))) == "blue"
    mask = torch.zeros(8, 8)
    mask[:2, 4:] = 1
    assert colour_of(hues, Detection("a", 1.0, (0, 0, 1, 1), mask)) == "green"
    found = [Detection("cat", 0.9, (0.5, 0, 1, 0.25)), Detection("cat", 0.9, (0, 0, 0.5, 1)), Detection("dog", 0.9, (0, 0, 0.5, 1))]
    rules = asked("cat dog cow", skill="color", colours="blue green red")
    assert coloured(rules, found, picture) == judged(rules, found, picture) == [True, False, False]


def test_a_score_is_the_mean_of_the_levels_not_of_the_pictures() -> None:
    result = score([2, 2, 2, 2, 3, 3], [True, True, True, False, False, True])
    assert result.levels == {2: 75.0, 3: 50.0}
    assert result.mean == 62.5
    assert result.interval is not None and result.interval.low < 62.5 < result.interval.high
    assert score([2], [True]).interval is None
    with pytest.raises(DataError, match="^0 levels and 0 judgements make no score; give one of each$"):
        score([], [])


def test_what_has_no_rule_is_refused() -> None:
    with pytest.raises(DataError, match="^there is no rule for prompts of the kind 'counting', only for spatial, size and color$"):
        judged(asked("a", skill="counting"), [], BLACK)
    with pytest.raises(DataError, match="^the prompt 'a prompt' has the relation 'next to', for which there is no rule$"):
        spatial_holds(asked("a b", "next to"), seen(a=MIDDLE, b=MIDDLE))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (asked("a b"), "^it has 0 relations for 2 objects, and the rule takes 1 for 2, 2 for 3, 2 for 4$"),
        (asked(""), "takes 1 for 2, 2 for 3, 2 for 4; say 'A cat on the left of a dog.', or name them under meta$"),
        (asked("a b c", "left"), "^it has 1 relations for 3 objects, "),
        (asked("a b", "between"), "^it has 1 relations for 2 objects, and the rule takes 1 for 3, 1 for 4$"),
        (asked("a b c d e", "left", "above"), "^it has 2 relations for 5 objects, "),
        (asked("a b c d", "larger", skill="size"), "^it has 1 relations for 4 objects, and the rule takes 1 for 2, 2 for 3, 2 for 4$"),
        (asked("a b", skill="color", colours="red"), "^it has 2 objects and 1 colours; give each object one colour$"),
        (asked("", skill="color"), "^it has 0 objects and 0 colours; "),
    ],
)
def test_a_prompt_that_its_rule_cannot_judge_is_refused(prompt: BoxPrompt, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check(prompt)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published prompts are not here")
def test_every_published_prompt_has_a_rule_and_most_of_their_own_boxes_obey_it() -> None:
    """GPT-4 drew the boxes to fit; a rule read wrongly would refuse nearly all boxes of its relation."""
    files = ("hrs_prompts_boxes.jsonl", "drawbench_boxes.jsonl")
    prompts = [asked for file in files for asked in read_box_prompts(PUBLISHED / file, check)]
    fitting = [asked for asked in prompts if asked.skill in ("spatial", "size") and len(asked.boxes) == len(asked.objects)]
    held: dict[str, list[bool]] = {}
    for asked_ in fitting:
        found = [Detection(name, 1.0, box) for name, box in zip(asked_.objects, asked_.boxes, strict=True)]
        if len(asked_.objects) == 2 and len(set(asked_.objects)) == 2:
            held.setdefault(asked_.relations[0], []).append(judged(asked_, found, BLACK)[0])
    assert len(held) >= 13
    assert all(sum(answers) / len(answers) > 0.75 for answers in held.values()), {k: sum(v) / len(v) for k, v in held.items()}
