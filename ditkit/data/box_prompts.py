"""Prompts with boxes from published benchmarks, read from the files that people have: HRS, DrawBench, NSR-1K, LMD.

Nothing of them is shipped with ditkit.
"""

import ast
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditkit.errors import DataError
from ditkit.files.atomic import read_json
from ditkit.files.text import lines_of, read_text

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge as fractions of the picture's width and height."""

CANVAS = 512  # pixels, that GPT-4 was asked to draw boxes on
POSITIONAL = "Positional"
RELATIONS = {"on top of": "above", "underneath": "below", "on the left of": "left", "on the right of": "right", "to the right of": "right"}
POSITION = re.compile(rf"an? (.+) ({'|'.join(RELATIONS)}) an? (.+)\.", re.IGNORECASE)

UNLIKE_ANY = "it is not laid out like one of HRS, DrawBench, NSR-1K or LMD"


@dataclass(frozen=True)
class BoxPrompt:
    """A prompt, what it asks for, and boxes, each with the words that belong into it.

    `objects` are the classes it names; `relations` lie between them, in the benchmark's words, and `colours` are theirs.
    """

    name: str
    prompt: str
    skill: str
    objects: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    @property
    def level(self) -> int:
        """How hard it is: HRS goes by the number of objects, 2, 3 or 4."""
        return len(self.objects)


def read_box_prompts(path: str | Path, check: Callable[[BoxPrompt], None] = lambda asked: None) -> list[BoxPrompt]:
    """The prompts of a benchmark's file, whichever it is; raises `DataError` that says what it is not, and where `check` refuses one.

    JSON lines with `labels` and `boxes` in pixels of a 512 canvas (HRS, DrawBench), DrawBench's table of prompts, of which the positional
    ones are taken, NSR-1K's lists and LMD's layouts. Boxes are clipped to the canvas, and those of which nothing is left are left out.
    """
    found = []
    for parse, entry, where in _entries(Path(path)):
        try:
            found.append(parse(entry))
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where} is no prompt with boxes: {_reason(error)}") from error
        try:
            check(found[-1])
        except DataError as error:
            raise DataError(f"{where} cannot be judged: {error}") from error
    return found


def _entries(file: Path) -> Iterator[tuple[Callable[[Any], BoxPrompt], Any, str]]:
    """What reads it, the entry, and where it is."""
    data = read_json(file, "file of prompts", DataError) if file.suffix == ".json" else None
    if file.suffix == ".jsonl":
        yield from ((_of_canvas, entry, f"{file}, line {number}") for number, entry in _lines(file))
    elif file.suffix == ".csv":
        yield from ((_of_drawbench, row, f"{file}, line {number}") for number, row in _positional_rows(file))
    elif isinstance(data, list):
        yield from ((_of_nsr, entry, f"{file}, entry {number}") for number, entry in enumerate(data))
    elif isinstance(data, dict):
        for prompt, answers in data.items():
            if not isinstance(answers, list):
                raise DataError(f"{file}, '{prompt}' is no prompt with boxes: {UNLIKE_ANY}")
            yield from ((_of_lmd, (prompt, answer, number), f"{file}, '{prompt}'") for number, answer in enumerate(answers))
    else:
        raise DataError(
            f"{file} is no file of prompts with boxes; known are the .jsonl of HRS and DrawBench, .csv, and .json of NSR-1K and LMD"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    if isinstance(error, AttributeError | TypeError):
        return UNLIKE_ANY
    return str(error).partition("\n")[0]


def _lines(file: Path) -> Iterable[tuple[int, Any]]:
    for number, line in enumerate(lines_of(_text(file)), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:  # lists in lists without end
                raise DataError(f"{file}, line {number} is not JSON: {error}") from error


def _text(file: Path) -> str:
    return read_text(file, "prompts of", DataError)


def _of_canvas(entry: Mapping[str, Any]) -> BoxPrompt:
    labels, boxes = _kept(entry.get("labels", []), [_fractions(box, CANVAS) for box in entry.get("boxes", [])])
    said = entry.get("meta")
    if said is None:
        return _positional(str(entry["prompt"]), str(entry["category"]), labels, boxes)
    objects, relations, colours = (_numbered(said, word) for word in ("obj", "rel", "color"))
    return BoxPrompt(str(entry["id"]), str(entry["prompt"]), str(entry["category"]), objects, relations, colours, labels, boxes)


def _numbered(said: Mapping[str, Any], word: str) -> tuple[str, ...]:
    """The values of word1, word2, ..."""
    return tuple(str(said[key]) for key in sorted(said) if re.fullmatch(rf"{word}\d", key) and said[key])


def _positional(prompt: str, skill: str, labels: tuple[str, ...] = (), boxes: tuple[Box, ...] = ()) -> BoxPrompt:
    """DrawBench says in the prompt alone which two things lie how."""
    found = POSITION.fullmatch(prompt.strip()) if skill == "spatial" else None
    objects, relations = ((found[1], found[3]), (RELATIONS[found[2].lower()],)) if found else ((), ())
    return BoxPrompt(prompt, prompt, skill, objects, relations, labels=labels, boxes=boxes)


def _of_drawbench(row: Mapping[str, str]) -> BoxPrompt:
    return _positional(row["Prompts"], "spatial")


def _positional_rows(file: Path) -> list[tuple[int, Mapping[str, str]]]:
    """Of DrawBench's table, with the line that each ends on."""
    reader = csv.DictReader(io.StringIO(_text(file), newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{file} is not DrawBench's table: {error}") from error
    if not rows or not {"Prompts", "Category"} <= rows[0][1].keys():
        raise DataError(f"{file} is not DrawBench's table: it has no columns Prompts and Category")
    return [(number, row) for number, row in rows if row["Category"] == POSITIONAL]


def _of_nsr(entry: Mapping[str, Any]) -> BoxPrompt:
    """NSR-1K gives left, top, width and height as fractions."""
    placed = entry["object_list"] if "object_list" in entry else [entry["obj1"], entry["obj2"]]
    labels, boxes = _kept([name for name, _ in placed], [_from_sides(sides) for _, sides in placed])
    relations = (str(entry["relation"]),) if "relation" in entry else ()
    skill = "spatial" if relations else "counting"
    objects = tuple(str(name) for name, _ in (placed if relations else entry["num_object"]))
    return BoxPrompt(f"nsr1k/{entry['id']}", str(entry["prompt"]), skill, objects, relations, labels=labels, boxes=boxes)


def _of_lmd(entry: tuple[str, str, int]) -> BoxPrompt:
    """LMD keeps GPT-4's answers as they came: a Python list of (words, [left, top, width, height]), then a background prompt."""
    prompt, answer, number = entry
    try:
        placed = ast.literal_eval(answer.partition("\n")[0])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("the answer does not begin with a list of things and their boxes") from error
    labels, boxes = _kept([words for words, _ in placed], [_from_sides([side / CANVAS for side in sides]) for _, sides in placed])
    return BoxPrompt(f"{prompt} #{number}", prompt, "layout", labels=labels, boxes=boxes)


def _fractions(box: Sequence[float], canvas: int) -> Box:
    left, top, right, bottom = (edge / canvas for edge in box)
    return _clipped((left, top, right, bottom))


def _from_sides(sides: Sequence[float]) -> Box:
    left, top, width, height = sides
    return _clipped((left, top, left + width, top + height))


def _clipped(box: Box) -> Box:
    left, top, right, bottom = (min(max(float(edge), 0.0), 1.0) for edge in box)
    return left, top, right, bottom


def _kept(labels: Sequence[str], boxes: Sequence[Box]) -> tuple[tuple[str, ...], tuple[Box, ...]]:
    """Those whose box has an area."""
    kept = [(str(label), box) for label, box in zip(labels, boxes, strict=True) if box[0] < box[2] and box[1] < box[3]]
    return tuple(label for label, _ in kept), tuple(box for _, box in kept)
