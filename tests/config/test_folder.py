"""Finding conf/: in the package before the checkout."""

from pathlib import Path

from ditkit.config import folder


def test_the_folder_in_the_package_comes_first(tmp_path: Path, monkeypatch):
    inside, outside = tmp_path / "ditkit" / "conf", tmp_path / "conf"
    monkeypatch.setattr(folder, "PLACES", (inside, outside))
    outside.mkdir()
    assert folder.conf_dir() == outside
    inside.mkdir(parents=True)
    assert folder.conf_dir() == inside


def test_groups_and_options_are_folders_and_files():
    assert {"sampler", "cache", "runtime", "codec", "preset"} <= set(folder.groups())
    assert folder.options("cache") == ["auto", "bottom", "every", "file", "forecast", "none", "random", "similarity", "top"]
