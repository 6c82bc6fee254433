"""The folders of runs below the one that a page shows, and nothing outside of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ditkit.errors import DitkitError, OutputError

SERVED = (".png", ".gif", ".json", ".npz", ".ply", ".obj", ".html")  # what runs write and pages show
MARKS = ("manifest.json", "bench.json", "metrics.json", "plan.json", "report.html")  # what makes a folder a run's
DEEPEST = 3  # levels of folders that are looked through
MOST = 500  # folders that are listed


@dataclass(frozen=True)
class Served:
    """The folder that everything shown lies in."""

    root: Path

    def inside(self, name: str) -> Path:
        """The file or folder of that name; raises `OutputError` for one that is elsewhere, whatever `..` and links make of it."""
        try:
            top, path = self.root.resolve(), (self.root / name).resolve()
        except (OSError, ValueError) as error:  # a name that no file can have
            raise OutputError(f"there is no {name!r} here") from error
        if not path.is_relative_to(top):
            raise OutputError(f"{name} is not in {self.root}")
        return path

    def file(self, name: str) -> Path:
        """A file that pages may show; raises `OutputError` for any other."""
        path = self.inside(name)
        if path.suffix.lower() not in SERVED or not path.is_file():
            raise OutputError(f"there is no {name!r} to show here")
        return path

    def url(self, path: Path) -> str:
        """Where the server has a file, which gets another address when it is written anew."""
        try:
            written = path.stat().st_mtime_ns
        except OSError:  # removed while it was being listed
            written = 0
        return f"/files/{quote(path.relative_to(self.root).as_posix())}?{written:x}"

    def runs(self) -> list[str]:
        """The folders of runs by their names, newest first."""
        found: list[tuple[float, str]] = []
        self._gather(self.root, DEEPEST, found)
        return [name for _, name in sorted(found, reverse=True)][:MOST]

    def _gather(self, folder: Path, deep: int, found: list[tuple[float, str]]) -> None:
        try:
            places = [place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")]
        except OSError:  # not there, or not ours to read
            return
        for place in places:
            marks = [mark for mark in (place / name for name in MARKS) if mark.is_file()]
            if marks:
                written = max((mark.stat().st_mtime for mark in marks if mark.is_file()), default=0.0)
                found.append((written, place.relative_to(self.root).as_posix()))
            elif deep > 1 and not place.is_symlink():
                self._gather(place, deep - 1, found)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that a run has made so far, in order."""
    return sorted((folder / "images").glob("[0-9]*.png"))


def clouds_in(folder: Path) -> list[Path]:
    return sorted((folder / "clouds").glob("[0-9]*.ply"))


def manifest_of(folder: Path) -> dict[str, Any]:
    """A run's manifest; an empty one where there is none, or none that can be read."""
    from ditkit.results.folder import read_manifest

    try:
        return read_manifest(folder / "manifest.json") if folder.is_dir() else {}
    except DitkitError:
        return {}


def captions(manifest: dict[str, Any], count: int) -> list[str]:
    """What each of a run's first samples shows: what was asked for and its seed, as far as that is known yet."""
    asked = [
        f"{sample.get('class', sample.get('prompt', ''))}, seed {sample.get('seed')}"
        for sample in manifest.get("images", manifest.get("clouds", ()))
        if isinstance(sample, dict)
    ]
    seeds = manifest.get("request", {}).get("seeds", [])
    known = [f"seed {seed}" for seed in seeds]
    return [*asked, *known[len(asked) :], *(f"sample {index}" for index in range(max(len(asked), len(known)), count))][:count]


def as_text(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
