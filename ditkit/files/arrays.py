"""numpy's files are looked at before they are read: what one declares may be more than it has, or than there is memory for."""

import math
from pathlib import Path
from typing import IO
from zipfile import ZipFile, is_zipfile

import numpy as np

from ditkit.errors import DitkitError
from ditkit.files import unreadable
from ditkit.files.regular import check_regular


def check_arrays(path: Path, error: type[DitkitError]) -> None:
    """Raise `error` for an .npy, or an .npz with one, whose arrays are longer than the file.

    Of what is no such file nothing is said: whoever reads it says what is wrong.
    """
    check_regular(path, error)
    if not path.is_file():
        return
    try:
        if not is_zipfile(path):
            with path.open("rb") as file:
                return _check(file, path.stat().st_size, str(path), error)
        with ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    _check(file, member.file_size, f"{member.filename.removesuffix('.npy')} of {path}", error)
    except (*unreadable.ARRAYS, SyntaxError):  # of a header that is no Python
        return


def _check(file: IO[bytes], size: int, what: str, error: type[DitkitError]) -> None:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = header(file)
    if kind.hasobject:  # is never read
        return
    needed = math.prod(shape) * kind.itemsize
    if min(shape, default=0) < 0 or needed > size - file.tell():
        raise error(f"{what} is cut off or damaged: it declares {' x '.join(map(str, shape))} of {kind}, and ends before")
