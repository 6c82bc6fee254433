"""Numbers that commands without a configuration take: ASCII digits, as everywhere else."""

import typer

from ditkit.config.numbers import LARGEST, number, whole


def whole_number(text: object) -> int:
    """What was typed, or a default, which comes here too; raises `typer.BadParameter` for what is no whole number, or beyond counting."""
    value = whole(str(text))
    if value is None or not -LARGEST <= value <= LARGEST:
        raise typer.BadParameter(f"'{_cut(str(text))}' is no whole number in the digits 0 to 9.")
    return value


def finite_number(text: object) -> float:
    """As `whole_number`, of any finite number."""
    value = number(str(text))
    if value is None:
        raise typer.BadParameter(f"'{_cut(str(text))}' is no finite number in the digits 0 to 9.")
    return value


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:20]}... of {len(text)} letters"
