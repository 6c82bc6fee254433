"""What numpy's files declare and do not have."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from ditkit.errors import DataError
from ditkit.files.arrays import check_arrays


def declared(path: Path, shape: tuple[int, ...], descr: str = "<f4", content: bytes = b"") -> Path:
    """An array's file that has this content, whatever its header says."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        file.write(content)
    return path


@pytest.mark.parametrize("shape", [(10**12, 3), (-5, 3), (2, 3)])
def test_an_array_that_is_longer_than_its_file_is_refused_unread(tmp_path: Path, shape: tuple[int, ...]) -> None:
    file, size = declared(tmp_path / "x.npy", shape, content=b"0" * 20), " x ".join(map(str, shape))
    with pytest.raises(DataError, match=f"x.npy is cut off or damaged: it declares {size} of float32, and ends before$"):
        check_arrays(file, DataError)
    with ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(file, "points.npy")
    with pytest.raises(DataError, match=f"^points of .*x.npz is cut off or damaged: it declares {size} of float32, and ends before$"):
        check_arrays(tmp_path / "x.npz", DataError)


def test_whole_arrays_and_other_files_pass(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 3)))
    np.save(tmp_path / "empty.npy", np.ones((0, 3)))
    np.savez_compressed(tmp_path / "x.npz", points=np.ones((4, 3)), names=np.array(["a", "bc"]))
    (tmp_path / "x.txt").write_text("PK")
    for file in [*tmp_path.iterdir(), tmp_path / "nothing.npy", tmp_path]:
        check_arrays(file, DataError)
