"""The rules of HRS-Bench (Bakr et al. 2023) and DrawBench's positional prompts: whether what was detected is what was asked for.

Detections come from any detector; those that HRS would not count, below `LEAST`, are the caller's to leave out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.data.box_prompts import Box, BoxPrompt
from ditkit.errors import DataError
from ditkit.metrics.bootstrap import RESAMPLES, Interval, interval
from ditkit.metrics.detections import Detection, area, distinct

Relation = Callable[[Box, Box], bool]

SKILLS = ("spatial", "size", "color")
LEAST = 0.5  # the score from which on a detection counts

ABOVE, BELOW = ("on", "above", "over", "top"), ("below", "beneath", "under", "underneath", "bottom")
LEFT, RIGHT = ("on the left of", "left"), ("on the right of", "right")
BETWEEN = ("between", "among", "in the middle of")
HUES = ((15, "red"), (22, "orange"), (39, "yellow"), (78, "green"), (131, "blue"))
"""Up to which mean hue, on OpenCV's scale of 0 ... 179, something has which colour; beyond the last it is red again."""


def is_left(one: Box, other: Box) -> bool:
    return one[0] < other[0]


def is_right(one: Box, other: Box) -> bool:
    return one[2] > other[2]


def is_above(one: Box, other: Box) -> bool:
    return one[1] < other[1] or one[3] < other[3]


def is_below(one: Box, other: Box) -> bool:
    return one[3] > other[3] or one[1] > other[1]


def is_between(one: Box, a: Box, b: Box) -> bool:
    """Right of one and left of the other, or above one and below the other."""
    pairs = ((is_right, is_left), (is_left, is_right), (is_below, is_above), (is_above, is_below))
    return any(first(one, a) and second(one, b) for first, second in pairs)


def is_bigger(one: Box, other: Box) -> bool:
    return area(one) > area(other)


def is_smaller(one: Box, other: Box) -> bool:
    return area(one) < area(other)


POSITIONS: dict[str, Relation] = {
    **dict.fromkeys(LEFT, is_left),
    **dict.fromkeys(RIGHT, is_right),
    **dict.fromkeys(ABOVE, is_above),
    **dict.fromkeys(BELOW, is_below),
}
SIZES: dict[str, Relation] = {"bigger": is_bigger, "larger": is_bigger, "smaller": is_smaller}


def check(asked: BoxPrompt) -> None:
    """Raise `DataError` for a prompt that has not as many relations, or colours, as the rule for its kind looks at."""
    objects, relations, colours = len(asked.objects), len(asked.relations), len(asked.colours)
    if asked.skill == "color" and not objects == colours > 0:
        raise DataError(f"it has {objects} objects and {colours} colours; give each object one colour")
    if asked.skill in ("spatial", "size"):
        between = asked.skill == "spatial" and relations > 0 and asked.relations[0] in BETWEEN
        fitting = {3: 1, 4: 1} if between else {2: 1, 3: 2, 4: 2}
        if fitting.get(objects) != relations:
            known = ", ".join(f"{fitting[count]} for {count}" for count in fitting)
            hint = "" if asked.objects or asked.skill == "size" else "; say 'A cat on the left of a dog.', or name them under meta"
            raise DataError(f"it has {relations} relations for {objects} objects, and the rule takes {known}{hint}")


def spatial_holds(asked: BoxPrompt, detections: Sequence[Detection]) -> bool:
    """Whether every object is there and lies as the prompt says; the last detection of a class counts.

    Of three objects the first stands to the second by the first relation and to the third by the second; of four the first two stand
    to the third by the first relation and to the fourth by the second. "Between" is a relation to both others.
    """
    boxes = _boxes(asked, detections)
    if boxes is None:
        return False
    subjects, others = (boxes[:2], boxes[2:]) if len(boxes) == 4 else (boxes[:1], boxes[1:])
    if asked.relations[0] in BETWEEN:
        return all(is_between(subject, *others) for subject in subjects)
    relations = [_known(relation, POSITIONS, asked) for relation in asked.relations]
    return all(holds(subject, other) for holds, other in zip(relations, others, strict=True) for subject in subjects)


def sizes_hold(asked: BoxPrompt, detections: Sequence[Detection]) -> bool:
    """Whether every object is there and the first is as large beside the others as the prompt says.

    Of four objects the first relation is to the second and third, the second to the fourth.
    """
    boxes = _boxes(asked, detections)
    if boxes is None:
        return False
    relations = [_known(relation, SIZES, asked) for relation in asked.relations]
    relations = [relations[0], *relations] if len(boxes) == 4 else relations
    return all(holds(boxes[0], other) for holds, other in zip(relations, boxes[1:], strict=True))


def coloured(asked: BoxPrompt, detections: Sequence[Detection], picture_3HW: Tensor) -> list[bool]:
    """For each object whether any that was detected of its class has its colour, by the mean hue of its pixels."""
    hue_HW = hue(picture_3HW)
    return [
        any(colour_of(hue_HW, found) == colour for found in detections if found.name == name)
        for name, colour in zip(asked.objects, asked.colours, strict=True)
    ]


def hue(picture_3HW: Tensor) -> Tensor:
    """The hue (H, W) of a picture in [-1, 1] on OpenCV's scale: whole numbers 0 ... 179, half of the degrees."""
    rgb = ((picture_3HW.double() + 1) * 127.5).round().clamp(0, 255)
    red, green, blue = rgb
    most, spread = rgb.amax(0), rgb.amax(0) - rgb.amin(0)
    safe = spread.clamp_min(1)
    degrees = torch.where(most == red, (green - blue) / safe, torch.where(most == green, 2 + (blue - red) / safe, 4 + (red - green) / safe))
    return ((degrees * 30).round() % 180).where(spread > 0, 0.0)


def colour_of(hue_HW: Tensor, found: Detection) -> str | None:
    """The name of the mean hue of the detection's pixels, all of its box where it has no mask; pixels of hue 0 do not count.

    None if there are no others.
    """
    height, width = hue_HW.shape
    if found.mask is not None:
        pixels = hue_HW[found.mask.bool()]
    else:
        left, top, right, bottom = found.box
        pixels = hue_HW[int(top * height) : int(bottom * height), int(left * width) : int(right * width)].flatten()
    pixels = pixels[pixels > 0]
    if not len(pixels):
        return None
    mean = float(pixels.mean())
    return next((name for end, name in HUES if mean < end), "red")


@dataclass(frozen=True)
class BenchmarkScore:
    """The share of what was asked that came out right, in per cent: of each level, and the mean of the levels with its interval."""

    count: int
    levels: dict[int, float]
    mean: float
    interval: Interval | None


def score(levels: Sequence[int], correct: Sequence[bool], resamples: int = RESAMPLES, seed: int = 0) -> BenchmarkScore:
    """The score of judged pictures, or objects, each of a level; an interval needs two of them."""
    if not levels or len(levels) != len(correct):
        raise DataError(f"{len(levels)} levels and {len(correct)} judgements make no score; give one of each")
    level, right = torch.tensor(levels), torch.tensor(correct, dtype=torch.float64)

    def by_level(indices: Tensor) -> dict[int, float]:
        return {int(each): float(right[indices][level[indices] == each].mean()) * 100 for each in level[indices].unique()}

    def mean(indices: Tensor) -> float:
        shares = by_level(indices).values()
        return sum(shares) / len(shares)

    everything = torch.arange(len(levels))
    spread = interval(mean, len(levels), resamples, seed) if len(levels) > 1 else None
    return BenchmarkScore(len(levels), by_level(everything), mean(everything), spread)


def judged(asked: BoxPrompt, detections: Sequence[Detection], picture_3HW: Tensor) -> list[bool]:
    """What the benchmark says of one picture: one answer, or one for each object where colours are asked for."""
    height, width = picture_3HW.shape[1:]
    found = distinct(detections, height, width)
    match asked.skill:
        case "spatial":
            return [spatial_holds(asked, found)]
        case "size":
            return [sizes_hold(asked, found)]
        case "color":
            return coloured(asked, found, picture_3HW)
    raise DataError(f"there is no rule for prompts of the kind '{asked.skill}', only for spatial, size and color")


def _boxes(asked: BoxPrompt, detections: Sequence[Detection]) -> list[Box] | None:
    """The box of every object, or None if one is not there."""
    last = {found.name: found.box for found in detections}
    return [last[name] for name in asked.objects] if all(name in last for name in asked.objects) else None


def _known(words: str, relations: dict[str, Relation], asked: BoxPrompt) -> Relation:
    if words not in relations:
        raise DataError(f"the prompt '{asked.prompt}' has the relation '{words}', for which there is no rule")
    return relations[words]
