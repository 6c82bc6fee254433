"""open3d, and what to say where it cannot be loaded."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ditkit.errors import MissingDependency

APT = {
    "libX11.so.6": "libx11-6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgomp.so.1": "libgomp1",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libidn2.so.0": "libidn2-0",
}
"""The packages of Debian that bring the libraries which open3d expects of the system."""


def open3d() -> Any:
    """The library, which is loaded only here; raises `MissingDependency` with the packages that bring what it misses."""
    try:
        import open3d
    except ModuleNotFoundError as error:
        raise MissingDependency(f"meshes and pictures of clouds need {error.name}: pip install open3d-cpu (or open3d)") from error
    except (ImportError, OSError) as error:  # a shared library of the system, usually
        reason = str(error).partition("\n")[0]
        package = APT.get(reason.partition(":")[0], " ".join(APT.values()))
        raise MissingDependency(
            f"meshes and pictures of clouds need open3d, which does not load ({reason}); apt install {package}"
        ) from error
    return open3d


@contextmanager
def quietly() -> Iterator[Any]:
    """The library, which keeps what it and the libraries inside it have to say of a file to itself: whoever reads the file says it."""
    library = open3d()
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with library.utility.VerbosityContextManager(library.utility.VerbosityLevel.Error):
            yield library
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
