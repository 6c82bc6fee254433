"""What a diffusers transformer's config.json may say: a number that is honoured, a fact that has to be as it is, or nothing that matters.

Whatever else it says is refused by name, so that no word of it is passed over.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from ditkit.errors import CheckpointError

Config = Mapping[str, Any]
MOST_PATCHES = 1024  # along a side of a picture, whose positions are computed before anything else; the largest published have 128
WITHOUT_EFFECT = ("dropout", "norm_num_groups")  # in a trained transformer of patches


class Wording:
    """Reads the configuration of `what`, "DiT"; every error begins alike."""

    def __init__(self, config: Config, what: str) -> None:
        self.config, self.what = config, what

    def error(self, reason: str) -> CheckpointError:
        return CheckpointError(f"config.json is not that of a diffusers {self.what}: {reason}")

    def number(self, name: str, least: int = 1) -> int:
        """A whole number that has to be there."""
        if name not in self.config:
            raise self.error(f"it has no {name}")
        value = self.config[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(f"{name} is {json.dumps(value)}, not a whole number from {least}")
        return value

    def optional(self, name: str) -> float | None:
        """A number above 0, or None where it is left out or null."""
        value = self.config.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or not value > 0):
            raise self.error(f"{name} is {json.dumps(value)}, not a number above 0")
        return None if value is None else float(value)

    def learns_sigma(self, channels: int) -> bool:
        """Whether it has twice as many outputs as inputs; left out or null, `out_channels` are as many."""
        out = channels if self.config.get("out_channels") is None else self.number("out_channels")
        if out not in (channels, 2 * channels):
            raise self.error(f"out_channels is {out}, neither the in_channels {channels} nor twice as many")
        return out == 2 * channels

    def sides(self) -> tuple[int, int]:
        """`sample_size` and `patch_size`."""
        size, patch = self.number("sample_size"), self.number("patch_size")
        if size % patch:
            raise self.error(f"patch_size {patch} does not divide sample_size {size}")
        if size // patch > MOST_PATCHES:
            raise self.error(f"sample_size is {size}, {size // patch} patches along each side; {MOST_PATCHES} are the most")
        return size, patch

    def check(self, honoured: Collection[str], fixed: Mapping[str, tuple[Any, ...]]) -> None:
        """Raise `CheckpointError` for a fact that is not as it has to be in `fixed`, and for words that nothing is known about."""
        for name, value in self.config.items():
            if value is None or name in honoured or name in WITHOUT_EFFECT or name.startswith("_"):
                continue
            if name in fixed:
                if value not in fixed[name]:
                    allowed = " or ".join(map(json.dumps, fixed[name]))
                    raise CheckpointError(f"config.json says {name} = {json.dumps(value)}, and a {self.what} is run with {allowed} only")
            elif value is not False:
                raise CheckpointError(f"config.json says {name} = {json.dumps(value)[:80]}, which is not known of a {self.what}")
