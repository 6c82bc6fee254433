"""Text files as people have them: UTF-8, or UTF-16 as Windows writes it, with any end of line."""

import codecs
import re
from pathlib import Path

from ditkit.errors import DitkitError
from ditkit.files.regular import MOST_TEXT, check_regular

MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LINE_END = re.compile(r"\r\n|\n|\r")
WAY_OUT = "save it as UTF-8"


def read_text(path: Path, kind: str, error: type[DitkitError]) -> str:
    """What a file says, in UTF-8, or in what its byte order mark tells, which is dropped; line ends stay as they are.

    Raises `error`, naming the `kind` of file it should be, for what cannot be read and for what is no text.
    """
    check_regular(path, error, MOST_TEXT)
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"cannot read the {kind} {path}: {problem.strerror}") from problem
    mark, encoding = marked(content)
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as problem:
        place = problem.start + len(mark)
        raise error(f"{path} is not text in {encoding.upper()[:6].rstrip('-')}: byte {place} cannot be read; {WAY_OUT}") from problem
    if "\0" in text:
        raise error(f"{path} is no text, or text in UTF-16 that does not say so: it holds NUL; {WAY_OUT}")
    return text


def marked(content: bytes) -> tuple[bytes, str]:
    """The byte order mark that a content begins with, if it does, and the encoding that it tells."""
    return next(((mark, name) for mark, name in MARKS if content.startswith(mark)), (b"", "utf-8"))


def lines_of(text: str) -> list[str]:
    r"""The lines of a text, parted by \n, \r\n or \r and by nothing else: U+2028, U+0085 and form feeds are letters like others."""
    return LINE_END.split(text)
