"""Where ditkit keeps what it has worked out once and would work out again: a folder that can be deleted at any time."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """$DITKIT_CACHE, or `ditkit` where the user's programs keep such things; made when something is first written into it."""
    if own := os.environ.get("DITKIT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ditkit"


def digest(facts: Any) -> str:
    """A short name for whatever JSON can say: equal facts, equal names."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]
