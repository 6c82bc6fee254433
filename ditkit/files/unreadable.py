"""What reading a damaged file of arrays raises; whoever reads one makes a line of it that names the file."""

import zlib
from zipfile import BadZipFile

ARRAYS = (
    OSError,
    EOFError,
    BadZipFile,
    zlib.error,
    RuntimeError,  # of zipfile: packed in a way that it does not know, or encrypted
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)


def reason(error: Exception) -> str:
    """What went wrong, in one line, without the libraries' advice to read what might run code."""
    if "pickle" in str(error):
        return "it holds Python's objects, which are not read, or nothing that numpy wrote"
    if isinstance(error, KeyError):
        return f"it lacks '{str(error.args[0]).removesuffix(' is not a file in the archive')}'"
    return str(error).partition("\n")[0] or type(error).__name__
