"""The sheet that every plot is drawn on, as a PNG file. matplotlib is imported when one is drawn: it takes a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ditkit.errors import OutputError
from ditkit.files.atomic import write_atomically


@contextmanager
def figure(path: Path, size: tuple[float, float], panels: int) -> Iterator[tuple[Any, list[Any]]]:
    """A figure with panels above each other that share their x axis, written to `path` at the end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix != ".png":
        raise OutputError(f"{path} must end in .png, as the picture that is drawn")
    sheet = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(sheet)
    axes = sheet.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    yield sheet, list(axes)
    write_atomically(path, lambda part: sheet.savefig(part, dpi=150, format="png"))
