"""`ditkit doctor`: is everything there?"""

from ditkit.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Print versions and devices, and what is missing with the line that brings it."""
    from ditkit.cli.console import show
    from ditkit.tasks import doctor as task

    show(task.run(), as_json)
