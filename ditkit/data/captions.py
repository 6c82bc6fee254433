"""What a scene shows, said in words, and the pairs of objects that training never shows together.

Boxes are `[x0, y0, x1, y1]` in pixels.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from zlib import crc32

import numpy as np

from ditkit.data.scenes import Box

HELD_OUT = 10  # one pair of nouns in this many is kept for evaluation
NUMBERS = {2: "two", 3: "three", 4: "four"}
IRREGULAR = {"fish": "fish", "snowman": "snowmen"}
ARTICLELESS = frozenset({"cherries", "grapes", "french fries", "scissors", "corn", "fire"})  # nouns that have no "a" and are not counted
PHRASES = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "bigger": ("bigger than", "larger than"),
    "smaller": ("smaller than",),
}
PLACES = {
    "left": ("on the left", "on the right"),
    "right": ("on the right", "on the left"),
    "above": ("at the top", "at the bottom"),
    "below": ("at the bottom", "at the top"),
}
CONTRAST = 1.4  # how many times the side of the smaller object the bigger one's must be
SMALL, BIG = 0.4, 0.75  # of the picture's shorter side
COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.06, 0.06, 0.06),
    "gray": (0.55, 0.55, 0.55),
    "red": (0.85, 0.15, 0.15),
    "orange": (0.97, 0.6, 0.15),
    "yellow": (0.97, 0.9, 0.3),
    "green": (0.3, 0.7, 0.3),
    "blue": (0.25, 0.45, 0.9),
    "purple": (0.55, 0.3, 0.75),
    "pink": (0.97, 0.65, 0.8),
    "brown": (0.5, 0.32, 0.18),
}
"""What backgrounds can be called, and the middle of each colour, red, green and blue in [0, 1]."""


def held_out(first: str, second: str) -> bool:
    """Whether these two nouns, in either order, never share a training scene. A noun may share one with itself."""
    return first != second and crc32("+".join(sorted((first, second))).encode()) % HELD_OUT == 0


def all_shown(nouns: Iterable[str]) -> bool:
    """Whether training may show these nouns in one scene."""
    return not any(held_out(*pair) for pair in combinations(nouns, 2))


def plural(noun: str) -> str:
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if noun.endswith(("s", "x", "ch", "sh", "tomato")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def one(noun: str) -> str:
    """The noun with its article: a fox, an owl, corn."""
    if noun in ARTICLELESS:
        return noun
    return f"an {noun}" if noun[0] in "aeiou" and not noun.startswith("uni") else f"a {noun}"


def counted(noun: str, count: int) -> str:
    return one(noun) if count == 1 else f"{NUMBERS[count]} {plural(noun)}"


def relations(first: Box, second: Box) -> tuple[str, ...]:
    """What the first object is to the second: on one side of it if it lies mostly there, and bigger or smaller if plainly so."""
    right, down = (sum(first[axis::2]) / 2 - sum(second[axis::2]) / 2 for axis in (0, 1))
    width, height = (min(box[axis + 2] - box[axis] for box in (first, second)) for axis in (0, 1))
    found = []
    if abs(right) > abs(down) and abs(right) > width / 2:
        found.append("right" if right > 0 else "left")
    elif abs(down) > abs(right) and abs(down) > height / 2:
        found.append("below" if down > 0 else "above")
    ratio = _side(first) / _side(second)
    if max(ratio, 1 / ratio) >= CONTRAST:
        found.append("bigger" if ratio > 1 else "smaller")
    return tuple(found)


def _side(box: Box) -> float:
    return ((box[2] - box[0]) * (box[3] - box[1])) ** 0.5


def caption(nouns: Sequence[str], boxes: Sequence[Box], rng: np.random.Generator, short: int, colour: str | None = None) -> str:
    """One of the true captions of a scene of these objects, in a picture whose shorter side is `short`, before a plain `colour`."""
    if len(nouns) == 1:
        text = _of_one(nouns[0], _side(boxes[0]) / short, rng)
    elif len(nouns) == 2 and nouns[0] != nouns[1] and rng.random() < 0.7:
        text = _of_two(nouns, boxes, rng)
    else:
        text = _list(nouns, rng)
    return f"{text} on {one(colour)} background" if colour and rng.random() < 0.6 else text


def _of_one(noun: str, size: float, rng: np.random.Generator) -> str:
    if rng.random() < 0.3 and noun not in ARTICLELESS and not SMALL < size < BIG:
        return f"a {'small' if size <= SMALL else 'big'} {noun}"
    return ("{}", "{}", "a photo of {}", "a picture of {}")[rng.integers(4)].format(one(noun))


def _of_two(nouns: Sequence[str], boxes: Sequence[Box], rng: np.random.Generator) -> str:
    first, second = (int(index) for index in rng.permutation(2))
    a, b = one(nouns[first]), one(nouns[second])
    found = relations(boxes[first], boxes[second])
    if not found:
        return f"{a} and {b}"
    relation = found[rng.integers(len(found))]
    if relation in PLACES and rng.random() < 0.25:
        here, there = PLACES[relation]
        return f"{a} {here} and {b} {there}"
    phrases = PHRASES[relation]
    return f"{a} {phrases[rng.integers(len(phrases))]} {b}"


def _list(nouns: Sequence[str], rng: np.random.Generator) -> str:
    """Every noun with how many there are, in any order."""
    counts = list(Counter(nouns).items())
    said = [counted(*counts[index]) for index in rng.permutation(len(counts))]
    return f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]


def words(nouns: Iterable[str]) -> tuple[str, ...]:
    """Every word that captions about these nouns can have, in alphabetical order."""
    said = ["a an and small big photo picture of background", *NUMBERS.values(), *COLOURS]
    said += [phrase for phrases in (*PHRASES.values(), *PLACES.values()) for phrase in phrases]
    said += [text for noun in nouns for text in (noun, plural(noun))]
    return tuple(sorted({word for text in said for word in text.split()}))
