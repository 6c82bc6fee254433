"""`python -m ditkit` is `ditkit`: a program that obeys signals while its command line is still being loaded."""

import sys

from ditkit.engine import signals


def main() -> None:
    with signals.obeyed():
        try:
            from ditkit.cli.app import main as run
        except signals.Stopped as stopped:
            print(f"ditkit: {stopped}", file=sys.stderr)
            sys.exit(stopped.code)
        run()


if __name__ == "__main__":
    main()
