"""A process that has its libraries loaded and waits to be told which command line to run: `python -m ditkit.ui.ready`.

The words come as a line of JSON on standard input. From there on it is `python -m ditkit WORDS`.
"""

import json
import runpy
import signal
import sys


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command line takes care of it, there is nothing to tidy up
    import ditkit.tasks.gen3d
    import ditkit.tasks.ground
    import ditkit.tasks.sample  # noqa: F401 (what takes seconds is done while nobody waits)

    if line := sys.stdin.readline():  # none: whoever would have asked has gone
        sys.argv[1:] = json.loads(line)
        runpy.run_module("ditkit", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
