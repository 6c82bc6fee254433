"""What a process of ditkit does with its streams, its signals and its folder: each test starts one."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DITKIT = f"{sys.executable} -m ditkit"
SLOW = "sample weights=random --count 500 --batch 2 --steps 50 --out run"


def shell(line: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(["bash", "-c", line], cwd=cwd, capture_output=True, text=True, check=False, env=environment())
    return done.returncode, done.stderr


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", ["models", "models --json", "sample --cfg", "--help", "--version", "ground --example"])
def test_a_full_stdout_is_one_line(tmp_path: Path, words: str) -> None:
    line = "ditkit: cannot write to standard output: No space left on device\n"
    assert shell(f"{DITKIT} {words} > /dev/full", tmp_path) == (2, line)


def test_a_closed_stdout_is_one_line_and_takes_no_file_s_place(tmp_path: Path) -> None:
    line = "ditkit: cannot write to standard output: Bad file descriptor\n"
    assert shell(f"{DITKIT} models >&-", tmp_path) == (2, line)
    assert shell(f"{DITKIT} models >&- 2>&- <&-", tmp_path) == (2, "")


def test_a_stderr_that_takes_nothing_changes_no_exit_code(tmp_path: Path) -> None:
    assert shell(f"{DITKIT} sample --stpes 2>&-", tmp_path) == (2, "")
    assert shell(f"{DITKIT} models 2>&-", tmp_path)[0] == 0


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminal to be had")
def test_a_terminal_that_does_not_know_its_width_is_written_to(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    words, blind = [sys.executable, "-m", "ditkit", "models", "dit-emoji"], environment(COLUMNS="0", TERM="xterm")
    with subprocess.Popen(words, cwd=tmp_path, env=blind, stdout=theirs), os.fdopen(ours, "rb", buffering=0) as terminal:
        os.close(theirs)
        assert b"dit-emoji" in terminal.readline()
        with contextlib.suppress(OSError):  # how Linux says that nobody is at the other end any more
            while terminal.read(4096):
                pass


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = "ditkit: the folder you are in is gone; change into one that is there\n"
    code, said = shell(f"cd gone && rmdir ../gone && exec {DITKIT} models", tmp_path)
    assert (code, said) == (2, line)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")]
)
def test_a_signal_ends_a_run_in_one_line_with_nothing_half_written(tmp_path: Path, number: int, code: int, word: str) -> None:
    def heeding() -> None:  # under nohup it would rightly go on
        signal.signal(number, signal.SIG_DFL)

    words = [sys.executable, "-m", "ditkit", *SLOW.split()]
    started = subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    while not list((tmp_path / "run").glob("images/0*.png")):
        assert started.poll() is None, "it ended before it could be stopped"
        time.sleep(0.02)
    started.send_signal(number)
    said = started.communicate(timeout=60)[1]
    assert (said.splitlines()[-1], started.returncode) == (f"ditkit: {word}", code)
    assert not list((tmp_path / "run").rglob(".*")) and not (tmp_path / "run" / "grid.png").exists()


def test_letters_that_the_terminal_lacks_are_written_out(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ditkit", "models", "caf\u00e9"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, env=environment(PYTHONIOENCODING="ascii"), check=False)
    assert (done.returncode, done.stderr[:39]) == (2, b"ditkit: no model named 'caf\\xe9'; known")


def test_a_signal_that_comes_while_the_program_is_loaded_is_one_line_too(tmp_path: Path) -> None:
    code = "import os, sys, ditkit.__main__ as program\n"
    code += "class Comes:\n    def find_spec(self, name, *more):\n        if name == 'typer': os.kill(os.getpid(), 2)\n"
    code += "sys.meta_path.insert(0, Comes())\nprogram.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (130, "ditkit: interrupted\n")
