"""Layouts from the prompts with boxes of published benchmarks."""

import json
import re
from pathlib import Path

from ditkit.data.box_prompts import BoxPrompt
from ditkit.data.captions import plural
from ditkit.errors import DataError
from ditkit.files.text import lines_of, read_text
from ditkit.grounding.layout import MOST_BOXES, Box, Layout, Phrase

KEYS = {"prompt", "labels", "boxes", "category"}


def is_benchmark(path: Path) -> bool:
    """Whether this is a file of HRS's or DrawBench's prompts, by its first line."""
    if path.suffix.lower() != ".jsonl":
        return False
    try:
        first = json.loads(lines_of(read_text(path, "prompts of", DataError))[0])
    except (DataError, ValueError, RecursionError):  # whoever reads it whole says what is wrong
        return False
    return isinstance(first, dict) and first.keys() >= KEYS


def layout_for(asked: BoxPrompt) -> Layout:
    """The prompt with a phrase for each label that it names, in the singular or in the plural; boxes of others are left out."""
    phrases: dict[str, list[Box]] = {}
    for label, box in list(zip(asked.labels, asked.boxes, strict=True))[:MOST_BOXES]:
        if (named := _in_prompt(label, asked.prompt)) is not None:
            phrases.setdefault(named, []).append(Box(*box))
    return Layout(asked.prompt, tuple(Phrase(text, tuple(boxes)) for text, boxes in phrases.items()))


def _in_prompt(label: str, prompt: str) -> str | None:
    for words in (label, plural(label)):
        if found := re.search(rf"(?<!\w){re.escape(words)}(?!\w)", prompt, re.IGNORECASE):
            return found[0]
    return None
