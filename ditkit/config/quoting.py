"""Writing any text so that an override says exactly that text."""

import re


def quoted(text: str) -> str:
    r"""`text` as a quoted value: `it's` becomes `'it\'s'`, and `${x}` stays itself instead of naming another option."""
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # an odd number of backslashes keeps ${ from being read as a reference
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), literal) + "'"
