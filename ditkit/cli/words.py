"""The words of a command line, before any command reads them."""

import os
from collections.abc import Sequence

from ditkit.errors import ConfigError


def check_readable(words: Sequence[str]) -> None:
    """Raise `ConfigError` for a word whose bytes are no text: no prompt, name or path could be shown, or written into a manifest."""
    for word in words:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:  # of what Python keeps of such bytes
            shown = os.fsencode(word).decode("utf-8", "backslashreplace")
            raise ConfigError(f"cannot read '{shown}': its bytes are not UTF-8; type it in a UTF-8 terminal, or rename the file") from error
