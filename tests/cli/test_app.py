"""What becomes of errors, and how quickly help is there."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import ditkit
import ditkit.tasks
from ditkit.config.folder import options
from ditkit.config.schema import BenchConfig
from ditkit.config.schema.bench import POLICIES
from ditkit.engine.signals import Stopped
from ditkit.errors import CheckpointError


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["sample", "--stpes", "20"], "ditkit: No such option: --stpes (Possible options: --steps)"),
        (["--foo"], "ditkit: No such option: --foo"),
        (["smaple"], "ditkit: No such command 'smaple'. Did you mean 'sample'?"),
        (["sample", "--steps"], "ditkit: Option '--steps' requires an argument."),
        (["sample", "stpes=20"], "ditkit: no option named 'stpes' in sample; did you mean 'steps'?"),
        (
            ["sample", "cache=every", "cache.perod=3"],
            "ditkit: no option named 'cache.perod' with cache=every; did you mean 'cache.period'?",
        ),
        (["sample", "--steps", "abc"], "ditkit: steps must be a whole number, not 'abc'"),
        (["sample", "--steps", "0"], "ditkit: steps must be at least 1, not 0"),
        (["sample", "--count", "-3"], "ditkit: count must be at least 1, not -3"),
        (["sample", "--guidance", "nan"], "ditkit: guidance must be a finite number, not nan"),
        (
            ["sample", "--solver", "dimm"],
            f"ditkit: no solver named 'dimm'; did you mean 'ddim'? ({', '.join(options('sampler'))})",
        ),
        (["sample", "--steps", "20", "steps=30"], "ditkit: steps is said twice: --steps 20 and steps=30"),
        (["sample", "--size", "512"], "ditkit: cannot read --size 512; write height and width in pixels, as in --size 512x768"),
        (["sample", "--size", "96x96", "width=80"], "ditkit: width is said twice: --size 96x96 and width=80"),
        (["sample", "height=4"], "ditkit: height must be at least 8, not 4"),
        (["sample", "text.precision=float16"], "ditkit: T5 overflows in float16; use text.precision=bfloat16 or float32"),
        (["sample", "text.paht=t5"], "ditkit: no option named 'text.paht' in sample; did you mean 'text.path'?"),
        (["models", "convert", "a"], "ditkit: Missing argument 'OUT'."),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(ditkit_command, asked, words: list[str], line: str):
    result = ditkit_command(*words)
    assert (result.stdout, result.stderr, result.exit_code) == ("", line + "\n", 2)
    assert asked.calls == []


def _fail(monkeypatch, error: BaseException) -> None:
    def run(*_: Any) -> None:
        raise error

    monkeypatch.setattr(ditkit.tasks, "sample", SimpleNamespace(run=run), raising=False)


def test_an_error_of_a_task_is_one_line_too(ditkit_command, monkeypatch):
    _fail(monkeypatch, CheckpointError("a.pt is cut\noff"))
    result = ditkit_command("sample")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "ditkit: a.pt is cut off\n", 2)


def test_a_path_that_nobody_expected_to_be_wrong_is_one_line(ditkit_command, monkeypatch):
    _fail(monkeypatch, OSError(36, "File name too long", "a" * 5000))
    result = ditkit_command("sample")
    assert (result.stderr, result.exit_code) == (f"ditkit: cannot use {'a' * 200}\u2026: File name too long\n", 2)


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(12, "Cannot allocate memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 4 bytes")]
)
def test_too_little_memory_is_one_line_whoever_lacks_it(ditkit_command, monkeypatch, error: Exception):
    _fail(monkeypatch, error)
    line = "ditkit: out of memory; make less at a time, as with a smaller --batch, or use a machine that has more\n"
    result = ditkit_command("sample")
    assert (result.stderr, result.exit_code) == (line, 2)


@pytest.mark.parametrize(("number", "word"), [(2, "interrupted"), (15, "terminated"), (1, "hung up")])
def test_a_signal_ends_with_its_number_beyond_128(ditkit_command, monkeypatch, number: int, word: str):
    _fail(monkeypatch, Stopped(number, "the same command goes on from there"))
    result = ditkit_command("sample")
    assert (result.stderr, result.exit_code) == (f"ditkit: {word}: the same command goes on from there\n", 128 + number)


def test_what_a_terminal_would_obey_is_written_out(ditkit_command):
    result = ditkit_command("models", "a\x1b]0;mine\x07\u202e", "--foo\x1b[31m")
    assert result.stderr == "ditkit: No such option: --foo\\x1b[31m\n"


def test_an_interrupted_run_says_so(ditkit_command, monkeypatch):
    _fail(monkeypatch, KeyboardInterrupt())
    result = ditkit_command("sample")
    assert (result.stderr, result.exit_code) == ("ditkit: interrupted\n", 130)


def test_a_bug_keeps_its_traceback(ditkit_command, monkeypatch):
    _fail(monkeypatch, ZeroDivisionError())
    result = ditkit_command("sample")
    assert (type(result.exception), result.exit_code) == (ZeroDivisionError, 1)


def test_the_version_is_printed(ditkit_command):
    assert ditkit_command("--version").stdout == f"ditkit {ditkit.__version__}\n"


def test_no_command_prints_the_help(ditkit_command):
    result = ditkit_command()
    assert result.exit_code == 0 and result.stdout.startswith("Usage: ditkit ")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["sample", "--help"], ["train", "--help"], ["models", "--help"]])
def test_help_is_there_for_every_command(ditkit_command, words: list[str]):
    assert ditkit_command(*words).exit_code == 0


def test_help_imports_nothing_heavy():
    code = "import sys, ditkit.cli.app; print({'torch', 'hydra', 'omegaconf', 'rich', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_reader_that_leaves_early_is_no_error():
    process = subprocess.Popen([sys.executable, "-m", "ditkit", "sample", "--cfg"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141, "as if ended by SIGPIPE"
    process.stderr.close()


def test_the_help_of_bench_names_every_policy_and_those_that_run_unasked(ditkit_command):
    text = " ".join(ditkit_command("bench", "--help").stdout.split())
    assert all(name in text for name in POLICIES) and "Without, the first five." in text
    first = text.partition("A rule to measure: ")[2].split(", ")[:5]
    assert first == BenchConfig().policies
