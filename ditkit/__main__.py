"""`python -m ditkit` is `ditkit`."""

from ditkit.cli.app import main

main()
