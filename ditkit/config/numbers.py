"""Numbers as people type them: ASCII digits, in every option alike. Python alone would take other scripts' digits and underscores too."""

import math
import re

WHOLE = re.compile(r"[+-]?[0-9]{1,1000}")
LARGEST = 2**31 - 1  # of whole numbers that are no seeds: more than anything can be counted to in a run
LARGEST_SEED = 2**63 - 1


def is_plain(text: str) -> bool:
    """Whether Python reads no more into a text than ASCII digits, if it is a number at all."""
    return text.isascii() and "_" not in text


def whole(text: str) -> int | None:
    """The whole number that a text is, or None."""
    return int(text) if WHOLE.fullmatch(text) else None


def number(text: str) -> float | None:
    """The finite number that a text is, or None."""
    try:
        value = float(text) if is_plain(text) else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
