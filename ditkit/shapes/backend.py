"""open3d, and what to say where it cannot be loaded."""

from typing import Any

from ditkit.errors import MissingDependency

APT = "libx11-6 libgl1 libegl1 libgomp1 libusb-1.0-0 libidn2-0"


def open3d() -> Any:
    """The library, which is loaded only here; raises `MissingDependency` with the packages that bring what it misses."""
    try:
        import open3d
    except ModuleNotFoundError as error:
        raise MissingDependency(f"meshes and pictures of clouds need {error.name}: pip install open3d-cpu (or open3d)") from error
    except (ImportError, OSError) as error:  # a shared library of the system, usually
        reason = str(error).partition("\n")[0]
        raise MissingDependency(
            f"meshes and pictures of clouds need open3d, which misses a library ({reason}); apt install {APT}"
        ) from error
    return open3d
