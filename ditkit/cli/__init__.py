"""The command line: `app` is the program, one file per command."""
