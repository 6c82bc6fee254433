"""Where the YAML files are, and which options a group has. Needs no Hydra, so that shell completion is quick."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
PLACES = (PACKAGE / "conf", PACKAGE.parent / "conf")  # in an installed wheel; in a checkout


def conf_dir() -> Path:
    """The folder with the YAML files, in the package before the checkout."""
    found = next((place for place in PLACES if place.is_dir()), None)
    assert found is not None, f"no conf folder in {' or '.join(map(str, PLACES))}"
    return found


def commands() -> list[str]:
    """The commands that are configured by a root YAML."""
    return _stems(conf_dir())


def groups() -> list[str]:
    """The config groups: sampler, cache, ..."""
    return sorted(path.name for path in conf_dir().iterdir() if path.is_dir())


def options(group: str) -> list[str]:
    """The options of a group: what can stand right of `group=`."""
    return _stems(conf_dir() / group)


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))
