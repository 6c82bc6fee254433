"""What was measured so far, in a file that is whole after every timing: a run that is killed keeps it, and the same command goes on."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from ditkit.errors import OutputError
from ditkit.files.atomic import read_json, write_atomically
from ditkit.tasks.bench.gpu.matrix import Case, Row

FORMAT, FILE = "ditkit-gpu-report", "gpu.json"
SAME = ("device", "matrix", "versions")  # what a run that goes on has to have in common with the one before


@dataclass
class Measured:
    """A row's seconds in every round, and in the same rounds those of the eager run and of the whole run in its own mode.

    `why` says why there are none, or no more of them. Latents of a whole run are `apart` from the eager one's (|z - z'| / |z'|).
    """

    seconds: list[float] = field(default_factory=list)
    eager: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    evaluations: int = 0
    flops: int = 0
    kept: float = 1.0
    peak_bytes: int | None = None
    calls: int | None = None
    kernels: int | None = None
    apart: float | None = None
    equal: bool | None = None
    why: str | None = None

    @property
    def speedup(self) -> float | None:
        """Median ratio to the eager run without a plan, over rounds."""
        return _ratio(self.eager, self.seconds)

    @property
    def realised(self) -> float | None:
        """The share of the saved multiply-adds that is saved in time as well."""
        ratio = _ratio(self.seconds, self.whole)
        return None if ratio is None or self.kept > 1 - 1e-9 else (1 - ratio) / (1 - self.kept)

    @property
    def tflops(self) -> float | None:
        return self.flops / median(self.seconds) / 1e12 if self.seconds else None


def _ratio(above: list[float], below: list[float]) -> float | None:
    pairs = list(zip(above, below, strict=False))
    return median(a / b for a, b in pairs) if pairs else None


class Ledger:
    """The file `gpu.json` of a folder: `head` says where and with what it was measured."""

    def __init__(self, folder: Path, head: dict[str, Any]) -> None:
        """Raises `OutputError` where the folder holds the report of another device, matrix or release."""
        self.path = folder / FILE
        self.head = {"format": FORMAT, **head}
        self.rows: dict[str, Measured] = {}
        self.ceilings: dict[str, list[float]] = {}
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        earlier = read_json(self.path, "GPU report", OutputError)
        if not isinstance(earlier, dict) or earlier.get("format") != FORMAT:
            raise OutputError(f"{self.path} is not a GPU report of ditkit; choose another folder with --out")
        if changed := [name for name in SAME if earlier.get(name) != json.loads(json.dumps(self.head[name]))]:
            raise OutputError(f"{self.path} was measured with another {', '.join(changed)}; choose another folder with --out")
        try:
            self.rows = {key: Measured(**row) for key, row in earlier["rows"].items()}
            self.ceilings = {key: [float(value) for value in values] for key, values in earlier["ceilings"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OutputError(f"{self.path} is damaged; remove it, or choose another folder with --out") from error

    def of(self, row: Row) -> Measured:
        return self.rows.get(row.key, Measured())

    def put(self, row: Row, measured: Measured) -> None:
        self.rows[row.key] = measured
        self.write()

    def ceiling(self, case: Case) -> float | None:
        """TFLOP/s of the matrix product in the case's rounds."""
        values = self.ceilings.get(str(case))
        return median(values) if values else None

    def write(self) -> None:
        record = self.head | {"ceilings": self.ceilings, "rows": {key: asdict(row) for key, row in self.rows.items()}}
        write_atomically(self.path, lambda part: part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8"))
