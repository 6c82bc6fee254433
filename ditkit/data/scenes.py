"""Pictures composed on the fly from RGBA sprites: one sprite on white, or scenes of several on varied backgrounds.

Shapes: H W picture height and width, O objects in a scene. Pictures are uint8 RGB; boxes are
`[x0, y0, x1, y1]` in fractions of the picture. Every picture is a pure function of its random generator, so that a
training run can be resumed, and a batch rebuilt, from an index alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ditkit.data.sprites import Sprites

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """A composed picture (H, W, 3) with the sprite index and box of each object, back to front."""

    image: np.ndarray
    sprites: tuple[int, ...]
    boxes: tuple[Box, ...]


def resized(rgba: np.ndarray, width: int, height: int) -> np.ndarray:
    """The sprite at another size as premultiplied float (height, width, 4) in [0, 1]."""
    picture = Image.fromarray(rgba, "RGBA").convert("RGBa")  # premultiplied, so that edges do not darken
    return (
        np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC if width > 64 else Image.Resampling.LANCZOS), np.float32) / 255
    )


def paste(canvas: np.ndarray, sprite: np.ndarray, left: int, top: int) -> None:
    """Draw a premultiplied sprite over `canvas` (H, W, 3) in place; what falls outside is cut off."""
    height, width = canvas.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + sprite.shape[1], width), min(top + sprite.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    canvas[y0:y1, x0:x1] = part[..., :3] + (1 - part[..., 3:]) * canvas[y0:y1, x0:x1]


def background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A plain, graded, striped, checked, split or softly blotched background as float (H, W, 3) in [0, 1]."""
    first, second = rng.uniform(0, 1, (2, 3)).astype(np.float32)
    if rng.random() < 0.5:  # pastel: what drawings stand on most often
        first, second = 0.6 + 0.4 * first, 0.6 + 0.4 * second
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    match rng.integers(7):
        case 0 | 1:
            mix = np.zeros_like(x)
        case 2:
            mix = (along - along.min()) / (np.ptp(along) + 1e-6)
        case 3:
            mix = (np.sin(along * rng.uniform(10, 40)) > 0).astype(np.float32)
        case 4:
            cells = rng.uniform(4, 12)
            mix = ((np.floor(x * cells) + np.floor(y * cells)) % 2).astype(np.float32)
        case 5:
            mix = (along > rng.uniform(along.min(), along.max())).astype(np.float32)  # a horizon
        case _:
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
            mix = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    return first + mix[..., None] * (second - first)


def to_uint8(canvas: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)


def sprite_on(
    sprites: Sprites,
    index: int,
    side: int = 64,
    *,
    object_side: int = 56,
    dx: int = 0,
    dy: int = 0,
    mirrored: bool = False,
    background: str = "white",
) -> np.ndarray:
    """One sprite, centred up to (dx, dy) pixels, on a colour: uint8 (side, side, 3)."""
    canvas = np.asarray(Image.new("RGB", (side, side), background), np.float32) / 255
    rgba = sprites.rgba[index][:, ::-1] if mirrored else sprites.rgba[index]
    margin = (side - object_side) // 2
    paste(canvas, resized(np.ascontiguousarray(rgba), object_side, object_side), margin + dx, margin + dy)
    return to_uint8(canvas)


def compose(
    sprites: Sprites, rng: np.random.Generator, height: int, width: int, *, objects: int, among: Sequence[int] | None = None
) -> Scene:
    """A scene of `objects` sprites that overlap little, on a random background."""
    canvas = np.ones((height, width, 3), np.float32) if rng.random() < 0.2 else background(rng, height, width)
    short = min(height, width)
    indices = (int(rng.choice(among)) if among is not None else int(rng.integers(len(sprites))) for _ in range(objects))
    return arrange(sprites, rng, canvas, indices, 0.22 * short, short * (0.9 if objects == 1 else 0.62 if objects == 2 else 0.48))


def facing(sprites: Sprites, index: int, rng: np.random.Generator, *, mirror: bool) -> np.ndarray:
    """The sprite (S, S, 4) as it is drawn, or with `mirror` in half of all cases the other way round; `rng` moves on alike."""
    rgba = sprites.rgba[index]
    return np.ascontiguousarray(rgba[:, ::-1]) if rng.random() < 0.5 and mirror else rgba


def arrange(
    sprites: Sprites,
    rng: np.random.Generator,
    canvas: np.ndarray,
    indices: Iterable[int],
    least: float,
    most: float,
    *,
    mirror: bool = True,
) -> Scene:
    """Sprites of `least` to `most` pixels drawn on `canvas`, in place, where they overlap little; one that finds no room is left out."""
    height, width = canvas.shape[:2]
    chosen, boxes = [], []
    for index in indices:
        for _attempt in range(20):
            side = int(rng.uniform(least, most))
            left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
            box = (left / width, top / height, (left + side) / width, (top + side) / height)
            if all(overlap(box, other) < 0.1 for other in boxes):
                break
        else:
            continue
        paste(canvas, resized(facing(sprites, index, rng, mirror=mirror), side, side), left, top)
        chosen.append(index)
        boxes.append(box)
    return Scene(to_uint8(canvas), tuple(chosen), tuple(boxes))


def put_into_boxes(
    sprites: Sprites, rng: np.random.Generator, indices: Sequence[int], boxes: Sequence[Box], height: int, width: int
) -> Scene:
    """The sprites on a random background, each as large as its box allows, in the middle of it; later ones over earlier ones."""
    canvas = background(rng, height, width)
    for index, box in zip(indices, boxes, strict=True):
        left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
        side = max(1, round(min(right - left, bottom - top)))
        paste(canvas, resized(sprites.rgba[index], side, side), round((left + right - side) / 2), round((top + bottom - side) / 2))
    return Scene(to_uint8(canvas), tuple(indices), tuple(boxes))


def overlap(first: Box, second: Box) -> float:
    """The shared area over the smaller box's area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = min((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / area


def autoencoder_picture(sprites: Sprites, rng: np.random.Generator, side: int = 64) -> np.ndarray:
    """What the autoencoder learns from: big sprites on white or on a background, and crops of larger scenes."""
    kind = rng.random()
    if kind < 0.35:
        object_side = int(rng.integers(side * 3 // 4, side + 1))
        room = (side - object_side) // 2
        dx, dy = rng.integers(-room, room + 1, 2)
        return sprite_on(
            sprites,
            int(rng.integers(len(sprites))),
            side,
            object_side=object_side,
            dx=int(dx),
            dy=int(dy),
            mirrored=bool(rng.random() < 0.5),
        )
    scene_side = side * 3 // 2 if kind < 0.8 else side
    scene = compose(sprites, rng, scene_side, scene_side, objects=int(rng.integers(1, 5)))
    top, left = rng.integers(0, scene_side - side + 1, 2)
    return scene.image[top : top + side, left : left + side]


def small_things(sprites: Sprites, rng: np.random.Generator, side: int = 96) -> np.ndarray:
    """Things as small as those in boxes, three to seven of a sixth to a half of the side: what full drawings teach no decoder."""
    canvas = np.ones((side, side, 3), np.float32) if rng.random() < 0.3 else background(rng, side, side)
    indices = [int(rng.integers(len(sprites))) for _ in range(rng.integers(3, 8))]
    return arrange(sprites, rng, canvas, indices, side / 6, side / 2).image


def judge_picture(sprites: Sprites, rng: np.random.Generator, side: int = 64) -> tuple[np.ndarray, int]:
    """What the judge learns from: a sprite turned, tinted and blurred on any background, or an object's crop of a scene, and its label."""
    if rng.random() < 0.3:
        scene = compose(sprites, rng, side * 3 // 2, side * 3 // 2, objects=int(rng.integers(1, 5)))
        which = int(rng.integers(len(scene.boxes)))
        image = Image.fromarray(scene.image).crop(_loose_crop(scene, which, rng)).resize((side, side), Image.Resampling.BICUBIC)
        index = scene.sprites[which]
    else:
        index = int(rng.integers(len(sprites)))
        image = _sprite_picture(sprites.rgba[index], rng, side)
    pixels = np.asarray(image, np.float32) / 255
    pixels = (pixels - 0.5) * rng.uniform(0.7, 1.2) + 0.5 + rng.uniform(-0.08, 0.08, 3).astype(np.float32)
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(0, 0.06), pixels.shape).astype(np.float32)
    return to_uint8(pixels), int(sprites.labels[index])


def _sprite_picture(rgba: np.ndarray, rng: np.random.Generator, side: int) -> Image.Image:
    canvas = np.ones((side, side, 3), np.float32) if rng.random() < 0.5 else background(rng, side, side)
    cutout = Image.fromarray(rgba[:, ::-1].copy() if rng.random() < 0.5 else rgba, "RGBA")
    cutout = cutout.rotate(float(rng.normal(0, 12)), Image.Resampling.BICUBIC)
    width, height = (max(8, int(side * rng.uniform(0.6, 1.0) * rng.uniform(0.85, 1.15))) for _ in range(2))
    left, top = (int(rng.integers(-4, max(side - length, 0) + 5)) for length in (width, height))
    paste(canvas, resized(np.asarray(cutout), width, height), left, top)
    image = Image.fromarray(to_uint8(canvas))
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2)))) if rng.random() < 0.4 else image


def _loose_crop(scene: Scene, which: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    height, width = scene.image.shape[:2]
    x0, y0, x1, y1 = scene.boxes[which]
    margin = rng.uniform(-0.06, 0.2, 4) * (x1 - x0)
    edges = (
        max(x0 - margin[0], 0) * width,
        max(y0 - margin[1], 0) * height,
        min(x1 + margin[2], 1) * width,
        min(y1 + margin[3], 1) * height,
    )
    return int(edges[0]), int(edges[1]), int(edges[2]), int(edges[3])
