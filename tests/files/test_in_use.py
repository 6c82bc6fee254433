"""One process at a time works in a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ditkit.errors import OutputError
from ditkit.files.atomic import remove_parts
from ditkit.files.in_use import in_use

HOLD = """
import time
from pathlib import Path
from ditkit.files.in_use import in_use
with in_use(Path("x")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_gone_however_it_ended(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", HOLD], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="/x is in use by another process; wait for it, or choose another folder with --out$"):
            in_use(tmp_path / "x").__enter__()
        first.kill()
    with in_use(tmp_path / "x"):
        assert (tmp_path / "x").is_dir()


def test_a_folder_that_was_made_in_vain_goes_again(tmp_path: Path) -> None:
    with in_use(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with in_use(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(OutputError, match="/x is a file, not a folder; choose another with --out$"), in_use(tmp_path / "x" / "y"):
        pass


def test_unfinished_files_of_those_at_work_stay(tmp_path: Path) -> None:
    ours, gone = tmp_path / f".image.{os.getpid()}.part.png", tmp_path / f".image.{2**22 + 1}.part.png"  # beyond the largest process id
    ours.touch()
    gone.touch()
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [ours]
