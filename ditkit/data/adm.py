"""Pictures and reference moments in one .npz, as the evaluator of ADM reads them (Dhariwal & Nichol 2021, arXiv 2105.05233).

`arr_0` are the pictures, uint8 (N, H, W, 3), `arr_1` their labels; of a reference `mu`, `sigma`, `mu_s`, `sigma_s` are moments of features.
"""

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from ditkit.data.picture_sets import ARRAY, PictureSet
from ditkit.files.atomic import write_atomically

BATCH = 64  # pictures in memory at once


def write_adm(path: Path, pictures: PictureSet, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the pictures, which are read a few at a time, and these arrays beside them; the same bytes for the same set."""
    write_atomically(path, lambda part: _write(part, pictures, arrays))


def _write(part: Path, pictures: PictureSet, arrays: Mapping[str, np.ndarray]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (pictures.count, *pictures.size, 3)}
    parts = [range(first, min(first + BATCH, pictures.count)) for first in range(0, pictures.count, BATCH)]
    with ZipFile(part, "w") as archive:
        with archive.open(ZipInfo(f"{ARRAY}.npy"), "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for read_N3HW in pictures.read(parts):
                member.write(read_N3HW.movedim(1, -1).contiguous().numpy().tobytes())
        for name, array in arrays.items():
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
