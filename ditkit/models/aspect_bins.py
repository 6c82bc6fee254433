"""The picture shapes that PixArt was trained on, and getting from them to the shape that was asked for.

Shapes: B batch, C channels, H W picture.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from ditkit.errors import RequestError


class Bin(NamedTuple):
    """A trained shape in pixels; `aspect` is its name, about height / width, which the published sampler tells a multi-scale network."""

    aspect: float
    height: int
    width: int


_OF_512 = """
0.25:256x1024 0.28:256x928 0.32:288x896 0.33:288x864 0.35:288x832 0.4:320x800 0.42:320x768 0.48:352x736 0.5:352x704 0.52:352x672
0.57:384x672 0.6:384x640 0.68:416x608 0.72:416x576 0.78:448x576 0.82:448x544 0.88:480x544 0.94:480x512 1.0:512x512 1.07:512x480
1.13:544x480 1.21:544x448 1.29:576x448 1.38:576x416 1.46:608x416 1.67:640x384 1.75:672x384 2.0:704x352 2.09:736x352 2.4:768x320
2.5:800x320 3.0:864x288 4.0:1024x256
"""


_ONLY_2048 = "0.26:256x992 0.27:256x960 2.89:832x288 3.11:896x288 3.62:928x256 3.75:960x256 3.88:992x256"  # as diffusers has them
_OF_128 = "0.48:88x184 0.57:96x168 0.78:112x144 1.0:128x128 1.29:144x112 1.75:168x96 2.09:184x88"  # ditkit's own small PixArt
_TABLES = {
    128: (_OF_128, 128),
    256: (_OF_512, 512),
    512: (_OF_512, 512),
    1024: (_OF_512, 512),
    2048: (_OF_512 + _ONLY_2048, 512),
}  # and the side that a table is for


def bins(image_size: int) -> tuple[Bin, ...]:
    """The shapes of a PixArt for pictures of that side, widest first; raises `RequestError` for another side.

    They are 33 of the published ones, and all 40 for 2048.
    """
    if image_size not in _TABLES:
        *others, last = map(str, _TABLES)
        raise RequestError(f"PixArt was trained on shapes around {', '.join(others)} and {last} pixels, not {image_size}")
    table, side = _TABLES[image_size]
    rows = [entry.replace("x", ":").split(":") for entry in table.split()]
    return tuple(
        sorted(Bin(float(aspect), int(height) * image_size // side, int(width) * image_size // side) for aspect, height, width in rows)
    )


def nearest_bin(height: float, width: float, image_size: int) -> Bin:
    """The trained shape whose name is nearest to height / width, the wider one of two that are equally near."""
    return nearest(bins(image_size), height, width)


def nearest(shapes: Iterable[Bin], height: float, width: float) -> Bin:
    """Of these shapes, the first whose name is nearest to height / width."""
    return min(shapes, key=lambda known: abs(known.aspect - height / width))


def resize_and_crop(pictures_BCHW: Tensor, height: int, width: int) -> Tensor:
    """The middle of the pictures in the shape asked for, after scaling them (bilinear) until they cover it."""
    old_height, old_width = pictures_BCHW.shape[2:]
    if (old_height, old_width) == (height, width):
        return pictures_BCHW
    ratio = max(height / old_height, width / old_width)
    size = max(int(old_height * ratio), height), max(int(old_width * ratio), width)  # a product may fall short of a whole number
    scaled = F.interpolate(pictures_BCHW, size=size, mode="bilinear", align_corners=False)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return scaled[..., top : top + height, left : left + width]
