"""What a form asks for, as the words of a command line: what the page shows to copy, and what it runs."""

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ditkit.errors import RequestError

SPEEDS = {"uncached": {}, "near-lossless": {"--cache": True}, "half cost": {"--cache": True, "--budget": "0.5"}}
"""How fast a run is to be, and the flags that make it so."""

ODD = re.compile(r"[^\w-]|^-")
"""What no name of a folder is given."""

Value = str | bool | Sequence[str] | None


@dataclass(frozen=True)
class Asked:
    """A run: the command, and the words after it but for the folder, which goes by them: the same words are the same run."""

    command: str
    model: str
    words: tuple[str, ...]

    def folder(self, root: Path) -> Path:
        """Where the run writes; another folder for everything else that can be asked for."""
        digest = hashlib.sha256("\0".join((self.command, *self.words)).encode("utf-8", "surrogatepass")).hexdigest()
        return root / f"{ODD.sub('-', self.model)}-{digest[:8]}"

    def arguments(self, root: Path) -> tuple[str, ...]:
        """What stands after `ditkit`."""
        return (self.command, *self.words, "--out", str(self.folder(root)))

    def line(self, root: Path) -> str:
        """The command line, ready for a shell."""
        return shlex.join(["ditkit", *self.arguments(root)])


def more_words(text: str | None) -> list[str]:
    """What else was typed, as a shell reads it; raises `RequestError` for a quote that is not closed."""
    try:
        return shlex.split(text or "")
    except ValueError as error:
        raise RequestError(f"cannot read {text}: {str(error).lower()}") from error


def asked(command: str, model: str, flags: Mapping[str, Value], more: Sequence[str] = ()) -> Asked:
    """The run that a form's flags ask for; those left empty are left out, a list is a flag for each of its words."""
    words = ["--model", model]
    for flag, value in flags.items():
        match value:
            case True:
                words.append(flag)
            case str() if value.strip():
                words += [flag, value.strip()]
            case list() | tuple():
                words += [word for each in value for word in (flag, each)]
    return Asked(command, model, (*words, *more))
