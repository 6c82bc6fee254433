"""Fetching published files from the Hugging Face hub, with the commit they came from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ditkit.errors import CheckpointError

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


@dataclass(frozen=True)
class Repository:
    """What ditkit needs of a repository: all of `files`, and the first of `weights` that it has; of an index, all that it lists."""

    files: tuple[str, ...]
    weights: tuple[str, ...]


VAE = Repository(("config.json",), WEIGHTS)
TRANSFORMER = Repository(("model_index.json", "transformer/config.json"), tuple(f"transformer/{name}" for name in WEIGHTS))
TRANSFORMER_ALONE = Repository(("transformer/config.json",), TRANSFORMER.weights)
VAE_OF_PIPELINE = Repository(("vae/config.json",), tuple(f"vae/{name}" for name in WEIGHTS))

REPOSITORIES = {
    "facebook/DiT-XL-2-256": TRANSFORMER,
    "facebook/DiT-XL-2-512": TRANSFORMER,
    "PixArt-alpha/PixArt-XL-2-256x256": TRANSFORMER,
    "PixArt-alpha/PixArt-XL-2-512x512": TRANSFORMER,
    "PixArt-alpha/PixArt-XL-2-1024-MS": TRANSFORMER,
    "PixArt-alpha/PixArt-Sigma-XL-2-256x256": TRANSFORMER_ALONE,
    "PixArt-alpha/PixArt-Sigma-XL-2-512-MS": TRANSFORMER_ALONE,
    "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS": TRANSFORMER_ALONE,
    "PixArt-alpha/PixArt-Sigma-XL-2-2K-MS": TRANSFORMER_ALONE,
    "PixArt-alpha/pixart_sigma_sdxlvae_T5_diffusers": VAE_OF_PIPELINE,
    "stabilityai/sd-vae-ft-ema": VAE,
    "stabilityai/sd-vae-ft-mse": VAE,
}

T5_WEIGHTS = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin")
T5 = Repository(("text_encoder/config.json", "tokenizer/spiece.model"), tuple(f"text_encoder/{name}" for name in T5_WEIGHTS))
TEXT_ENCODERS = {
    "PixArt-alpha/PixArt-XL-2-256x256": T5,
    "PixArt-alpha/PixArt-XL-2-512x512": T5,
    "PixArt-alpha/PixArt-XL-2-1024-MS": T5,
    "PixArt-alpha/pixart_sigma_sdxlvae_T5_diffusers": T5,
}
"""Repositories of pipelines, and what to fetch of them in order to read a prompt."""


@dataclass(frozen=True)
class Snapshot:
    """A local copy of a repository's files and the commit they belong to."""

    folder: Path
    commit: str


def fetch(
    repository: str, revision: str | None = None, *, option: str = "weights", among: Mapping[str, Repository] = REPOSITORIES
) -> Snapshot:
    """The needed files of a repository `among` the known ones, downloaded unless they are in the hub's cache.

    `revision` is a branch, tag or commit (default: main). Without a network the cached copy is taken; if there is none,
    `CheckpointError` names the file and the `option` that takes a path instead.
    """
    needed = among[repository]
    try:
        commit, offered = _look_up(repository, revision)
    except _offline_errors() as error:
        return _from_cache(repository, revision, option, needed, error)
    weights = next((name for name in needed.weights if name in offered), None)
    if weights is None:
        raise CheckpointError(f"{repository} at {commit[:12]} has no {' or '.join(needed.weights)}; give {option}=PATH")
    snapshot = _download(repository, commit, (*needed.files, weights), option)
    parts = _listed(snapshot.folder, weights)
    return _download(repository, commit, parts, option) if parts else snapshot


def _look_up(repository: str, revision: str | None) -> tuple[str, set[str]]:
    """The commit that `revision` means now, and the files it has."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(repository, revision=revision, timeout=10)
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repository} has no revision '{revision}'") from error
    except GatedRepoError as error:
        raise CheckpointError(f"{repository} is gated: accept its terms on its page and log in with 'hf auth login'") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no repository {repository}, or it is private: log in with 'hf auth login'") from error
    assert info.sha is not None
    return info.sha, {file.rfilename for file in info.siblings or ()}


def _download(repository: str, commit: str, files: Sequence[str], option: str) -> Snapshot:
    from huggingface_hub import hf_hub_download

    path = Path()
    for name in files:
        try:
            path = Path(hf_hub_download(repository, name, revision=commit))
        except (*_offline_errors(), OSError) as error:
            raise _unreachable(repository, name, option, error) from error
    depth = len(Path(files[-1]).parts)
    return Snapshot(path.parents[depth - 1], commit)


def _listed(folder: Path, weights: str) -> list[str]:
    """The files that an index of weights names; none if it is no index."""
    if not weights.endswith(".index.json"):
        return []
    index = json.loads((folder / weights).read_text(encoding="utf-8"))
    return [f"{Path(weights).parent.as_posix()}/{name}" for name in sorted(set(index["weight_map"].values()))]


def _from_cache(repository: str, revision: str | None, option: str, needed: Repository, reason: Exception) -> Snapshot:
    from huggingface_hub import try_to_load_from_cache

    def cached(name: str) -> Path | None:
        found = try_to_load_from_cache(repository, name, revision=revision)
        return Path(found) if isinstance(found, str) else None

    found = next(((name, path) for name in needed.weights if (path := cached(name))), None)
    if found is None:
        raise _unreachable(repository, needed.weights[0], option, reason) from reason
    weights, path = found
    folder = path.parents[len(Path(weights).parts) - 1]
    missing = [name for name in (*needed.files, *_listed(folder, weights)) if not cached(name)]
    if missing:
        raise _unreachable(repository, missing[0], option, reason) from reason
    return Snapshot(folder, folder.name)  # the cache names a snapshot's folder after its commit


def _offline_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises without a network: connection errors of the HTTP library it uses, or its own."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    network = [base for base in HfHubHTTPError.__mro__ if base.__name__ in ("HTTPError", "RequestException")]
    return (OfflineModeIsEnabled, ConnectionError, TimeoutError, *network)


def _unreachable(repository: str, name: str, option: str, reason: Exception) -> CheckpointError:
    why = "HF_HUB_OFFLINE is set" if type(reason).__name__ == "OfflineModeIsEnabled" else str(reason).strip().partition("\n")[0][:120]
    return CheckpointError(f"cannot fetch {name} of {repository} from the hub ({why}); download it elsewhere and give {option}=PATH")
