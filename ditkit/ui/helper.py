"""A process that runs one command line, and what it says meanwhile."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Self

READY = (sys.executable, "-m", "ditkit.ui.ready")
SPEAKS = {"DITKIT_PROGRESS": "json", "PYTHONIOENCODING": "utf-8"}


@dataclass(frozen=True)
class Helper:
    """The `process`, and the file that its stdout goes to. It is in a session of its own: Ctrl-C in a terminal is the server's alone."""

    process: subprocess.Popen[str]
    stdout: IO[str]

    @classmethod
    def started(cls, command: Sequence[str] = READY) -> Self:
        """One that waits for its words."""
        report = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (`result` and `end` close it)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=report,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=os.environ | SPEAKS,
                start_new_session=True,
            )
        except OSError:
            report.close()
            raise
        return cls(process, report)

    def takes(self, words: Sequence[str]) -> bool:
        """Tell it which words to run; whether it was still there to be told."""
        assert self.process.stdin is not None
        try:
            with self.process.stdin as told:
                told.write(json.dumps(words) + "\n")
        except OSError:
            self.end()
            return False
        return True

    def interrupt(self) -> None:
        """As Ctrl-C does; a second one ends it at once."""
        self.process.send_signal(signal.SIGINT)

    def lines(self) -> Iterator[str]:
        """What it says on stderr, until it ends."""
        assert self.process.stderr is not None
        with self.process.stderr as said:
            yield from said

    def result(self) -> tuple[int, str]:
        """Its exit code, and all of its stdout."""
        code = self.process.wait()
        with self.stdout as report:
            report.seek(0)
            return code, report.read()

    def end(self) -> None:
        """Be sure that it runs no more."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stderr, self.stdout):
            with contextlib.suppress(OSError):  # of words that could not be told
                if stream is not None:
                    stream.close()
