"""The hub is played by a folder; the tests without a network are real (HF_HUB_OFFLINE is set for all tests)."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from ditkit.errors import CheckpointError
from ditkit.files.hub import REPOSITORIES, TEXT_ENCODERS, fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIT = "facebook/DiT-XL-2-256"
FILES = (
    "model_index.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.bin",
    "vae/diffusion_pytorch_model.bin",
    "README.md",
)


class Hub:
    """One repository with `files`; notes what was asked of it."""

    def __init__(self, root: Path, files: tuple[str, ...] = FILES) -> None:
        self.root, self.files = root, files
        self.asked: list[tuple[str, str | None]] = []

    def model_info(self, repository: str, revision: str | None = None, timeout: float | None = None) -> SimpleNamespace:
        self.asked.append((repository, revision))
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=name) for name in self.files])

    def download(self, repository: str, name: str, revision: str | None = None) -> str:
        assert name in self.files
        self.asked.append((name, revision))
        path = self.root / "snapshots" / COMMIT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        return str(path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda _self, *args, **options: hub.model_info(*args, **options))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.download)
    return hub


def test_only_the_needed_files_are_fetched_all_of_one_commit(hub: Hub) -> None:
    snapshot = fetch(DIT, "main")
    assert snapshot.commit == COMMIT
    assert snapshot.folder == hub.root / "snapshots" / COMMIT
    assert hub.asked == [(DIT, "main"), *((name, COMMIT) for name in FILES[:3])]


def test_safetensors_are_preferred_where_there_are_both(hub: Hub) -> None:
    hub.files = ("config.json", "diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors")
    snapshot = fetch("stabilityai/sd-vae-ft-ema")
    assert sorted(path.name for path in snapshot.folder.iterdir()) == ["config.json", "diffusion_pytorch_model.safetensors"]


def test_a_repository_without_the_file_is_named(hub: Hub) -> None:
    hub.files = ("config.json",)
    with pytest.raises(CheckpointError, match=r"sd-vae-ft-mse at 0123456789ab has no .*\.safetensors or .*\.bin; give codec\.path=PATH"):
        fetch("stabilityai/sd-vae-ft-mse", option="codec.path")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RevisionNotFoundError, f"{DIT} has no revision 'v9'"),
        (GatedRepoError, f"{DIT} is gated: accept its terms on its page"),
        (RepositoryNotFoundError, f"the hub has no repository {DIT}"),
    ],
)
def test_what_the_hub_refuses_is_said_in_words(monkeypatch: pytest.MonkeyPatch, error: type[Exception], reason: str) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    with pytest.raises(CheckpointError, match=reason):
        fetch(DIT, "v9")


def test_a_download_that_breaks_off_names_the_file(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_args: object, **_options: object) -> None:
        raise LocalEntryNotFoundError("Connection broken\nby something")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", break_off)
    with pytest.raises(
        CheckpointError, match=r"^cannot fetch model_index\.json of .* from the hub \(Connection broken\); download it elsewhere"
    ):
        fetch(DIT)


def test_without_a_network_the_error_names_file_and_option() -> None:
    with pytest.raises(CheckpointError) as caught:
        fetch(DIT)
    assert str(caught.value) == (
        f"cannot fetch transformer/diffusion_pytorch_model.safetensors of {DIT} from the hub "
        "(HF_HUB_OFFLINE is set); download it elsewhere and give weights=PATH"
    )


def test_without_a_network_the_cached_copy_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--facebook--DiT-XL-2-256"
    for name in FILES[:3]:
        (repository / "snapshots" / COMMIT / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / "snapshots" / COMMIT / name).write_text(name)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = fetch(DIT)
    assert (snapshot.commit, snapshot.folder.name) == (COMMIT, COMMIT)
    assert fetch(DIT, COMMIT) == snapshot
    (snapshot.folder / "transformer" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"cannot fetch transformer/config\.json"):
        fetch(DIT)


T5 = "PixArt-alpha/PixArt-XL-2-1024-MS"
T5_FILES = ("text_encoder/config.json", "tokenizer/spiece.model", "text_encoder/model.safetensors.index.json")
T5_PARTS = ("text_encoder/model-1.safetensors", "text_encoder/model-2.safetensors")
INDEX = '{"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}'


def test_weights_in_several_files_are_fetched_as_their_index_lists_them(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, name: str, revision: str | None = None) -> str:
        path = Path(hub.download(repository, name, revision))
        path.write_text(INDEX if name.endswith(".index.json") else name)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    hub.files = (*T5_FILES, *T5_PARTS, "transformer/config.json", "text_encoder/model-3.safetensors")
    snapshot = fetch(T5, among=TEXT_ENCODERS)
    assert snapshot.folder == hub.root / "snapshots" / COMMIT
    assert hub.asked == [(T5, None), *((name, COMMIT) for name in (*T5_FILES, *T5_PARTS))]


def test_without_a_network_all_files_of_an_index_must_be_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / f"models--{T5.replace('/', '--')}"
    for name in (*T5_FILES, *T5_PARTS):
        (repository / "snapshots" / COMMIT / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / "snapshots" / COMMIT / name).write_text(INDEX)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = fetch(T5, among=TEXT_ENCODERS)
    assert snapshot.folder == repository / "snapshots" / COMMIT
    (snapshot.folder / T5_PARTS[1]).unlink()
    with pytest.raises(CheckpointError, match=r"^cannot fetch text_encoder/model-2\.safetensors of PixArt-alpha/PixArt-XL-2-1024-MS"):
        fetch(T5, among=TEXT_ENCODERS)


def test_every_known_repository_is_a_transformer_or_an_autoencoder() -> None:
    assert len(REPOSITORIES) == 12
    assert {needed.weights[0].split("/")[0] for needed in REPOSITORIES.values()} == {
        "transformer",
        "vae",
        "diffusion_pytorch_model.safetensors",
    }
