"""Words that come from elsewhere - names, labels, prompts, paths - as a terminal may be shown them."""

import re

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What terminals obey instead of showing it, what turns the order of letters around, and what is no letter at all."""


def printable(text: str) -> str:
    r"""The text with everything that a terminal would obey written out: the escape character becomes `\x1b`, a stray byte `\xff`."""
    return OBEYED.sub(lambda found: _written(found[0]), text)


def one_line(text: str) -> str:
    """The same on one line, however many lines the text has."""
    return printable(re.sub("[ \t]*[\r\n]+[ \t]*|\t", " ", text).strip(" "))


def _written(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as Python keeps it in file names
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
