"""Boxes as they are drawn: values that a stroke, a typed word or a file turns into the next.

A box is {"id", "label", "edges"}: a number that stays its own, its phrase, and left, top, right, bottom as fractions of the picture.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ditkit.data.captions import one
from ditkit.errors import RequestError
from ditkit.grounding.layout import Layout
from ditkit.grounding.layout_file import layout_of, parse_box

DIGITS = 3  # of an edge that is drawn: a thousandth of the picture
LEAST = 0.01  # of the picture's side; less is a click, no box
SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
FIRST = [0.25, 0.25, 0.75, 0.75]  # a box that is added without drawing it

Box = dict[str, Any]
Boxes = Sequence[Box]


def redrawn(boxes: Boxes, relayout: Mapping[str, Any]) -> Boxes:
    """The boxes after something was done on the canvas: one more drawn, some erased, one moved or resized."""
    if isinstance(shapes := relayout.get("shapes"), list):
        known = {str(box["id"]): box for box in boxes}
        result = list(boxes)[:0]
        for shape in shapes:
            edges = _edges(shape)
            if (own := known.get(str(shape.get("name")))) is not None:
                result.append(own)
            elif edges[2] - edges[0] >= LEAST and edges[3] - edges[1] >= LEAST:
                result.append(_new([*boxes, *result], edges))
        return result
    moved = [dict(box) for box in boxes]
    for index, box in enumerate(moved):
        ends = {name: relayout.get(f"shapes[{index}].{name}") for name in ("x0", "y0", "x1", "y1")}
        if any(value is not None for value in ends.values()):
            left, top, right, bottom = box["edges"]
            before = {"x0": left, "y0": top, "x1": right, "y1": bottom}
            box["edges"] = _edges({name: before[name] if value is None else value for name, value in ends.items()})
    return moved


def is_shown(relayout: Mapping[str, Any]) -> bool:
    """Whether a canvas shows already what was just done on it: a box that was moved, and stays within the picture."""
    return "shapes" not in relayout and all(0 <= value <= 1 for key, value in relayout.items() if key.startswith("shapes["))


def added(boxes: Boxes, edges: Sequence[float] = FIRST, label: str = "") -> Boxes:
    return [*boxes, _new(boxes, list(edges), label)]


def without(boxes: Boxes, number: int) -> Boxes:
    return [box for box in boxes if box["id"] != number]


def relabelled(boxes: Boxes, labels: Mapping[int, str | None], typed: Mapping[int, str | None]) -> Boxes:
    """The boxes with these labels, and with these edges as they were typed; raises `RequestError` for edges that cannot be."""
    result = []
    for box in boxes:
        edges, words = box["edges"], typed.get(box["id"])
        if words is not None and words.strip() != in_words(edges):
            edges = list(parse_box(f"edges: {words}")[1])
        result.append({**box, "label": (labels.get(box["id"]) or "").strip(), "edges": edges})
    return result


def of_layout(layout: Layout) -> Boxes:
    boxes: Boxes = []
    for box, text in zip(layout.boxes, layout.texts, strict=True):
        boxes = added(boxes, list(box), text)
    return boxes


def in_words(edges: Sequence[float]) -> str:
    """As the command line takes them, every digit of them."""
    return ", ".join(f"{edge:g}" if float(f"{edge:g}") == edge else repr(edge) for edge in edges)


def as_options(boxes: Boxes) -> list[str]:
    """The words of `--box` for each. Raises `RequestError` for a box without a label."""
    if nameless := sum(not box["label"] for box in boxes):
        raise RequestError(f"{nameless} of {len(boxes)} boxes have no label; say what each of them holds")
    return [f"{box['label']}: {in_words(box['edges']).replace(' ', '')}" for box in boxes]


def prompt_of(boxes: Boxes) -> str:
    """A prompt that names every label once: "a fox, an owl and two hats" is written by hand, "a fox and an owl" is not."""
    things = [_with_article(label) for label in dict.fromkeys(box["label"] for box in boxes) if label]
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1] if things else ""


def layout_from(boxes: Boxes, prompt: str | None, size: str | None = None) -> Layout:
    """What is drawn, checked as the command line checks it; without a prompt, one of its labels. Raises `RequestError`."""
    from ditkit.grounding.phrases import check_words

    if not boxes:
        raise RequestError("draw a box first, or add one")
    layout = layout_of((prompt or "").strip() or prompt_of(boxes), as_options(boxes))
    check_words(layout)
    if not (size or "").strip():
        return layout
    height, width = sides(size)
    return replace(layout, height=height, width=width)


def sides(size: str | None) -> tuple[int, int]:
    """Height and width in pixels of "96x128"; raises `RequestError`."""
    if not (found := SIZE.fullmatch((size or "").strip())):
        raise RequestError(f"cannot read the size {size}; write height and width in pixels, as 96x128")
    return int(found[1]), int(found[2])


def _new(boxes: Boxes, edges: list[float], label: str = "") -> Box:
    return {"id": max((box["id"] for box in boxes), default=0) + 1, "label": label, "edges": edges}


def _edges(shape: Mapping[str, Any]) -> list[float]:
    """Of a rectangle of the canvas, however it was drawn, as far as it lies in the picture."""
    xs, ys = (sorted(min(max(float(shape[name]), 0.0), 1.0) for name in names) for names in (("x0", "x1"), ("y0", "y1")))
    return [round(edge, DIGITS) for edge in (xs[0], ys[0], xs[1], ys[1])]


def _with_article(label: str) -> str:
    first = label.partition(" ")[0].lower()
    return label if first in ("a", "an", "the", "one", "two", "three", "four") else one(label)
