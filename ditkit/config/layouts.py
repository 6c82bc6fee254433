"""The layouts that ditkit ships, by name, and the JSON schema of all: what `ditkit ground` draws when no file is given."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "layouts"
EXAMPLE, SCHEMA = "example.json", "schema.json"
NAMED = {"example": EXAMPLE, "held-out": "held-out.jsonl"}
"""What can be named in place of a file of one's own."""


def shipped(name: str) -> str:
    """The text of one of the files."""
    return (FOLDER / name).read_text(encoding="utf-8")
