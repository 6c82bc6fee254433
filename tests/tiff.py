"""TIFF of 16 bits as libtiff writes it and Pillow does not: several samples a pixel, chunky or each in a plane of its own."""

import struct

import numpy as np

EXTRA_ALPHA = 2


def tiff(pixels_HWC: np.ndarray, *, planes: bool = False, big: bool = False) -> bytes:
    """Grey with alpha for C = 2, colours for 3."""
    sign = ">" if big else "<"
    height, width, samples = pixels_HWC.shape
    data = (pixels_HWC.transpose(2, 0, 1) if planes else pixels_HWC).astype(f"{sign}u2").tobytes()
    strips = samples if planes else 1
    size = len(data) // strips
    tags = {256: [width], 257: [height], 258: [16] * samples, 259: [1], 262: [2 if samples == 3 else 1], 273: [0] * strips}
    tags |= {277: [samples], 278: [height], 279: [size] * strips, 284: [2 if planes else 1]}
    tags |= {338: [EXTRA_ALPHA]} if samples == 2 else {}
    start = 8 + 2 + 12 * len(tags) + 4
    beside = sum(4 * len(values) for values in tags.values() if len(values) > 1)
    tags[273] = [start + beside + strip * size for strip in range(strips)]
    entries, more = b"", b""
    for tag, values in tags.items():
        packed = struct.pack(f"{sign}{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack(f"{sign}I", start + len(more))
        entries += struct.pack(f"{sign}HHI", tag, 4, len(values)) + place
        more += packed if len(values) > 1 else b""
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{sign}IH", 8, len(tags))
    return head + entries + bytes(4) + more + data
