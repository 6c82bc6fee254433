"""The layout that `ditkit ground` draws when none is given, and the JSON schema of all."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "layouts"
EXAMPLE, SCHEMA = "example.json", "schema.json"


def shipped(name: str) -> str:
    """The text of one of the two."""
    return (FOLDER / name).read_text(encoding="utf-8")
