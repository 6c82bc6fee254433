"""Layouts to measure grounding with: of one to four things, among them pairs that training never shows together.

They are shipped as `assets/layouts/held-out.jsonl`; this is how they were drawn.
"""

from collections.abc import Sequence

import numpy as np

from ditkit.data.captions import ARTICLELESS, held_out, one
from ditkit.data.scenes import overlap
from ditkit.grounding.layout import Box, Layout, Phrase

THINGS = (1, 2, 3, 4)
LEAST = 0.26  # of the picture's side
MOST = {1: 0.9, 2: 0.62, 3: 0.48, 4: 0.48}  # as in training
SHARED = 0.1  # of the smaller one's area may lie in another box
TRIES = 50


def held_out_layouts(nouns: Sequence[str], count: int, seed: int = 0) -> list[Layout]:
    """As many layouts of one thing as of two, three and four, all in square boxes; every thing in two or more is half of a pair that
    training never shows together."""
    rng = np.random.default_rng(seed)
    known = [noun for noun in nouns if noun not in ARTICLELESS]
    return [_layout(known, THINGS[index % len(THINGS)], rng) for index in range(count)]


def _layout(nouns: Sequence[str], things: int, rng: np.random.Generator) -> Layout:
    while True:
        chosen = [str(noun) for noun in rng.choice(nouns, things, replace=False)]
        strangers = things == 1 or all(any(held_out(noun, other) for other in chosen) for noun in chosen)
        boxes = _boxes(things, rng) if strangers else None
        if boxes:
            listed = [one(noun) for noun in chosen]
            prompt = f"{', '.join(listed[:-1])} and {listed[-1]}" if things > 1 else listed[0]
            return Layout(prompt, tuple(Phrase(noun, (box,)) for noun, box in zip(chosen, boxes, strict=True)))


def _boxes(things: int, rng: np.random.Generator) -> list[Box] | None:
    """Squares with little in common, or None if some find no room."""
    boxes: list[Box] = []
    for _ in range(TRIES):
        side = rng.uniform(LEAST, MOST[things])
        left, top = rng.uniform(0, 1 - side, 2)
        box = Box(*(round(float(edge), 3) for edge in (left, top, left + side, top + side)))
        if all(overlap(box, other) < SHARED for other in boxes):
            boxes.append(box)
        if len(boxes) == things:
            return boxes
    return None
