"""Layouts as files: ditkit's JSON (one layout or a list of them), the same a line each (.jsonl), and the published config.json.

Whatever is wrong with one is said in one line, with the place where it is.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ditkit.config.numbers import number
from ditkit.errors import RequestError
from ditkit.files.text import lines_of, read_text
from ditkit.grounding.layout import FRACTIONS, LIKE_PIXELS, Box, Layout, Phrase, Units, check_side

UNITS = ("fraction", "pixel")
KEYS = {"prompt", "phrases", "units", "width", "height"}
PUBLISHED_KEYS = {"prompt", "phrases", "bboxes", "width", "height", "aspect_ratio"}
PUBLISHED_AREA = 512**2  # of a layout that gives only its aspect ratio; what counts is the shape


def read_layouts(path: Path) -> tuple[Layout, ...]:
    """The layouts of a file, in order; raises `RequestError`."""
    return parse_layouts(read_text(path, "layout", RequestError), str(path), lines=path.suffix.lower() == ".jsonl")


def parse_layouts(text: str, source: str, *, lines: bool = False) -> tuple[Layout, ...]:
    """The layouts in a text, which errors call `source`."""
    if lines:
        kept = [(number, line) for number, line in enumerate(lines_of(text), 1) if line.strip()]
        found = [_layout(_json(line, source, number), f"{source}, line {number}") for number, line in kept]
    else:
        found = _layouts(_json(text, source), source)
    if not found:
        raise RequestError(f"{source} holds no layout; 'ditkit ground --example' prints one")
    return tuple(found)


def layout_from(data: Any, source: str) -> Layout:
    """A layout that was written by `as_data`."""
    return _layout(data, source)


def parse_box(words: str) -> tuple[str, Box]:
    """A phrase and its box from "dog: 0.1,0.2,0.5,0.9"."""
    phrase, _, numbers = words.rpartition(":")  # without a colon, the phrase is empty
    edges = [edge for typed in numbers.split(",") if (edge := number(typed)) is not None]
    if phrase.strip() and len(edges) == 4 == numbers.count(",") + 1:
        return phrase.strip(), Box(*edges)
    raise RequestError(f"cannot read the box '{words}'; write it as --box \"dog: 0.1,0.2,0.5,0.9\" (left, top, right, bottom)")


def layout_of(prompt: str, boxes: Sequence[str]) -> Layout:
    """A layout from words; boxes of the same phrase belong together, at the place of the first one."""
    phrases: dict[str, list[Box]] = {}
    for phrase, box in map(parse_box, boxes):
        phrases.setdefault(phrase, []).append(box)
    return Layout(prompt, tuple(Phrase(text, tuple(group)) for text, group in phrases.items()))


def as_data(layout: Layout) -> dict[str, Any]:
    """The layout as `parse_layouts` reads it, in fractions."""
    size = {} if layout.width is None else {"width": layout.width, "height": layout.height}
    phrases = [{"text": phrase.text, "boxes": [list(box) for box in phrase.boxes]} for phrase in layout.phrases]
    return {"prompt": layout.prompt, "phrases": phrases, "units": "fraction", **size}


def _json(text: str, source: str, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(f"{source} is not JSON: {error.msg} at line {line or error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists in lists without end
        raise RequestError(f"{source} cannot be read as JSON: {str(error).partition(';')[0][:100]}") from error


def _layouts(data: Any, source: str) -> list[Layout]:
    if isinstance(data, list):
        return [_layout(entry, f"{source}, layout {number}") for number, entry in enumerate(data)]
    if isinstance(data, dict) and "prompt" not in data and data and all(key.isdecimal() for key in data):
        return [_layout(data[key], f'{source}, layout "{key}"') for key in sorted(data, key=_digits)]
    return [_layout(data, source)]


def _digits(key: str) -> tuple[int, str]:
    """Orders whole numbers without reading them: 2 before 10."""
    return len(key), key


def _layout(data: Any, where: str) -> Layout:
    if not isinstance(data, dict):
        raise RequestError(f"{where}: a layout is an object with prompt and phrases, not {_kind(data)}")
    published = "bboxes" in data or "aspect_ratio" in data
    known = PUBLISHED_KEYS if published else KEYS
    if unknown := sorted(set(data) - known):
        raise RequestError(
            f"{where}: no key named '{unknown[0][:40]}' in a layout; it has {', '.join(sorted(known))}".encode("utf-8", "replace").decode()
        )
    prompt = _text(data.get("prompt"), f"{where}: prompt")
    width, height = _size(data, where)
    try:
        phrases = _published_phrases(data, where) if published else _phrases(data, where, width, height)
        return Layout(prompt, phrases, width, height)
    except RequestError as error:
        raise error if str(error).startswith(where) else RequestError(f"{where}: {error}") from error


def _phrases(data: Mapping[str, Any], where: str, width: int | None, height: int | None) -> tuple[Phrase, ...]:
    units = data.get("units", "fraction")
    if units not in UNITS:
        raise RequestError(f"{where}: units is 'fraction' or 'pixel', not {_shown(units)}")
    if units == "pixel" and (width is None or height is None):
        raise RequestError(f"{where}: boxes in pixels need the width and height that they are counted in")
    counted = Units(width, height) if units == "pixel" and width and height else Units(instead='and "units": "pixel" counts pixels')
    phrases = []
    for index, entry in enumerate(_list(data.get("phrases", []), f"{where}: phrases")):
        place = f"{where}: phrase {index}"
        if not isinstance(entry, dict) or entry.keys() - {"text", "boxes"}:
            raise RequestError(f'{place} is to be {{"text": ..., "boxes": [[left, top, right, bottom], ...]}}, not {_shown(entry)}')
        text = _text(entry.get("text"), f"{place}: text")
        phrases.append(Phrase(text, tuple(counted.box(_box(box, place), text) for box in _list(entry.get("boxes"), f"{place}: boxes"))))
    return tuple(phrases)


def _published_phrases(data: Mapping[str, Any], where: str) -> tuple[Phrase, ...]:
    """Phrases and boxes in two lists. An edge at or beyond the right or lower border is at the border, as its checks have it."""
    texts, groups = (_list(data.get(name, []), f"{where}: {name}") for name in ("phrases", "bboxes"))
    if len(texts) != len(groups):
        raise RequestError(f"{where}: {len(texts)} phrases but {len(groups)} lists of bboxes; give one list for each phrase")
    phrases = []
    for index, (text, group) in enumerate(zip(texts, groups, strict=True)):
        place = f"{where}: phrase {index}"
        words = _text(text, place)
        boxes = [_box(box, place) for box in _list(group, f"{place}: bboxes")]
        if most := next((max(box) for box in boxes if LIKE_PIXELS <= max(box) < math.inf), None):
            raise RequestError(f"{place}: an edge at {most:g} of '{words}'; bboxes are fractions of the picture, {FRACTIONS.instead}")
        clipped = [(left, top, min(right, 1.0), min(bottom, 1.0)) for left, top, right, bottom in boxes]
        phrases.append(Phrase(words, tuple(FRACTIONS.box(edges, words) for edges in clipped)))
    return tuple(phrases)


def _size(data: Mapping[str, Any], where: str) -> tuple[int | None, int | None]:
    if "aspect_ratio" in data and not {"width", "height"} & data.keys():
        ratio = _number(data["aspect_ratio"], f"{where}: aspect_ratio")
        if not 1 / 64 <= ratio <= 64:
            raise RequestError(f"{where}: aspect_ratio is height / width, from 1/64 to 64, not {ratio:g}")
        return round(math.sqrt(PUBLISHED_AREA / ratio)), round(math.sqrt(PUBLISHED_AREA * ratio))  # compared with height / width
    sides = [data.get("width"), data.get("height")]
    for name, side in zip(("width", "height"), sides, strict=True):
        if side is not None and (isinstance(side, bool) or not isinstance(side, int)):
            raise RequestError(f"{where}: {name} is a whole number of pixels, not {_shown(side)}")
        try:
            check_side(name, side)
        except RequestError as error:
            raise RequestError(f"{where}: {error}") from error
    return sides[0], sides[1]


def _box(value: Any, where: str) -> tuple[float, float, float, float]:
    """Its edges as they are written."""
    if not isinstance(value, list) or len(value) != 4:
        raise RequestError(f"{where}: a box is [left, top, right, bottom], not {_shown(value)}")
    left, top, right, bottom = (_number(edge, f"{where}: an edge of a box") for edge in value)
    return left, top, right, bottom


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f"{what} is a number, not {_shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{what} is missing" if value is None else f"{what} is a text, not {_shown(value)}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise RequestError(f"{what} is missing" if value is None else f"{what} is a list, not {_shown(value)}")
    return value


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number")


def _shown(value: Any) -> str:
    """The value as JSON, cut when it is long."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        return _kind(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
