"""Where a model's or codec's weights are, and finding them."""

from dataclasses import dataclass
from pathlib import Path

from ditkit.errors import CheckpointError, ConfigError
from ditkit.files.hub import REPOSITORIES, fetch

ASSETS = Path(__file__).parent.parent / "assets" / "weights"
RANDOM = "random"  # given in place of a path: fresh weights, nothing read or fetched


@dataclass(frozen=True)
class WeightSource:
    """Where weights come from: a file shipped in `ditkit/assets/weights`, a hub repository, or a page people download from."""

    asset: str | None = None
    hub: str | None = None
    page: str | None = None
    licence: str = "yours"


@dataclass(frozen=True)
class WeightFile:
    """A file or folder of weights: `origin` says in words for manifests where it came from, `commit` which revision of a hub repository."""

    path: Path
    origin: str
    commit: str | None = None


def locate(source: WeightSource, path: str | None = None, revision: str | None = None, *, option: str = "weights") -> WeightFile | None:
    """The file or folder to read: `path` (or the hub id of a known repository) if given, else what `source` names; fetched if need be.

    None when `path` is "random". Raises `CheckpointError` that says where the file is to be had and which `option` takes it.
    """
    repository = _repository(source, path)
    if repository:
        snapshot = fetch(repository, revision, option=option)
        return WeightFile(snapshot.folder, f"hub:{repository}", snapshot.commit)
    if revision:
        chosen = path or source.asset or source.page or "elsewhere"
        raise ConfigError(f"revision={revision} is for weights from the hub; these come from {chosen}")
    if path == RANDOM:
        return None
    if path:
        if not Path(path).exists():
            raise CheckpointError(f"{option}={path}: no such file or folder")
        return WeightFile(Path(path), f"file:{path}")
    if source.asset:
        return _asset(source.asset, option)
    if source.page:
        raise CheckpointError(f"these weights are published at {source.page}; download them and give {option}=PATH, or {option}={RANDOM}")
    raise CheckpointError(f"nobody has published these weights; give your own with {option}=PATH, or {option}={RANDOM}")


def _repository(source: WeightSource, path: str | None) -> str | None:
    """The hub repository meant, if one is: a path that exists is never one."""
    if path is None:
        return None if source.asset else source.hub
    return path if path in REPOSITORIES and not Path(path).exists() else None


def _asset(name: str, option: str) -> WeightFile:
    if not (ASSETS / name).exists():
        raise CheckpointError(f"ditkit/assets/weights/{name} is not in this copy of ditkit; give {option}=PATH, or {option}={RANDOM}")
    return WeightFile(ASSETS / name, f"ditkit:{name}")
