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
