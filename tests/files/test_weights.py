from pathlib import Path

import pytest

from ditkit.errors import CheckpointError, ConfigError
from ditkit.files import weights
from ditkit.files.hub import Snapshot
from ditkit.files.weights import WeightFile, WeightSource, locate

HUB = WeightSource(hub="facebook/DiT-XL-2-256")
ASSET = WeightSource(asset="tiny.safetensors")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str | None]]:
    calls: list[tuple[str, str | None]] = []

    def fetch(repository: str, revision: str | None = None, *, option: str) -> Snapshot:
        calls.append((repository, revision))
        return Snapshot(tmp_path, "abc")

    monkeypatch.setattr(weights, "fetch", fetch)
    return calls


def test_published_weights_come_from_the_hub_with_their_commit(fetched: list[tuple[str, str | None]], tmp_path: Path) -> None:
    assert locate(HUB, revision="main") == WeightFile(tmp_path, "hub:facebook/DiT-XL-2-256", "abc")
    assert fetched == [("facebook/DiT-XL-2-256", "main")]


def test_a_known_hub_id_may_stand_for_a_path(fetched: list[tuple[str, str | None]]) -> None:
    locate(ASSET, "stabilityai/sd-vae-ft-mse")
    assert fetched == [("stabilityai/sd-vae-ft-mse", None)]


def test_a_path_wins_over_everything(fetched: list[tuple[str, str | None]], tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.touch()
    assert locate(HUB, str(path)) == WeightFile(path, f"file:{path}")
    assert not fetched


def test_random_weights_need_no_file(fetched: list[tuple[str, str | None]]) -> None:
    assert locate(HUB, "random") is None
    assert not fetched


def test_a_shipped_file_is_found_or_missed_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "ASSETS", tmp_path)
    with pytest.raises(CheckpointError, match=r"ditkit/assets/weights/tiny\.safetensors is not in this copy of ditkit; give weights=PATH"):
        locate(ASSET)
    (tmp_path / "tiny.safetensors").touch()
    assert locate(ASSET) == WeightFile(tmp_path / "tiny.safetensors", "ditkit:tiny.safetensors")


def test_weights_that_lie_on_a_page_say_where() -> None:
    with pytest.raises(CheckpointError, match=r"are published at https://example\.org \(a\.pth\); download them and give weights=PATH"):
        locate(WeightSource(page="https://example.org (a.pth)"))
    with pytest.raises(CheckpointError, match="nobody has published these weights; give your own with weights=PATH, or weights=random"):
        locate(WeightSource())


def test_a_path_that_is_not_there_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^codec\.path=nowhere\.pt: no such file or folder$"):
        locate(HUB, "nowhere.pt", option="codec.path")


@pytest.mark.parametrize(("source", "path"), [(HUB, "random"), (ASSET, None), (HUB, "mine.pt"), (WeightSource(), None)])
def test_a_revision_is_for_the_hub_only(source: WeightSource, path: str | None) -> None:
    with pytest.raises(ConfigError, match="revision=v2 is for weights from the hub"):
        locate(source, path, "v2")
