"""PNG files of 16 bits, which Pillow reads and does not write."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(pixels: np.ndarray, kind: int, clear: tuple[int, ...] = ()) -> bytes:
    """uint16 (H, W) or (H, W, C) as a file of that colour type: 0 grey, 2 RGB, 4 grey and alpha, 6 RGB and alpha (ISO 15948).

    `clear` is the one colour that is transparent, if any is.
    """
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    hole = ((b"tRNS", struct.pack(f">{len(clear)}H", *clear)),) if clear else ()
    chunks = ((b"IHDR", header), *hole, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
