"""What a file is that stands under the name of weights and is none: a pointer, a web page, half a download."""

import json
import re
from pathlib import Path

HEAD = 1024  # bytes that tell
AGAIN = "download it again"
LENGTH = 8  # bytes at the beginning of a safetensors file that say how long its header is


def mistaken(path: Path) -> str | None:
    """What the file is, in words that follow its name, and the way out; None if it may be what it is called."""
    size = path.stat().st_size
    if size == 0:
        return "must be downloaded again: it is empty"
    with path.open("rb") as file:
        head = file.read(HEAD)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        return f"is a Git LFS pointer{_stands_for(text, size)}; fetch the file itself with 'git lfs pull', or {AGAIN}"
    if text.startswith(b"# xet version"):
        return f"is a Git Xet pointer{_stands_for(text, size)}; fetch the file itself with 'git xet checkout', or {AGAIN}"
    if text.startswith((b"/annex/objects/", b"../.git/annex/", b".git/annex/")):
        return "is a pointer of git-annex; fetch the file itself with 'git annex get'"
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head", b"<!--")):
        return f"is a web page in place of the file, perhaps one that asks to log in; {AGAIN}, from the link to the file itself"
    if text.startswith((b'{"error', b'{"message', b"entry not found", b"repository not found", b"invalid username", b"access to model")):
        return f"is a server's answer in place of the file, '{_line(head)}'; {AGAIN}"
    return None


def cut_off(path: Path) -> str | None:
    """How much of a safetensors file is there, if it is less than its header says; None if it is whole or has no such header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if size < LENGTH + length:
            return f"it ends after {size} bytes, within its header; {AGAIN}" if length < 2**27 else None
        try:
            header = json.loads(file.read(length))
            whole = LENGTH + length + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return None
    return f"it ends after {size} of its {whole} bytes; {AGAIN}" if size < whole else None


def _stands_for(text: bytes, size: int) -> str:
    stated = re.search(rb"(?:^|\n)(?:size|filesize)[ =]+(\d+)", text)
    return f", {size} bytes in place of {stated[1].decode()}" if stated else ""


def _line(head: bytes) -> str:
    return head.decode("ascii", "replace").strip().partition("\n")[0][:60]
