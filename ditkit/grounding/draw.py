"""Pictures of what was asked for: boxes with labels over the image, and how the image came about."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ditkit.grounding.layout import Layout

COLOURS = ("#e6194b", "#0082c8", "#3cb44b", "#f58231", "#911eb4", "#008080", "#e6b800", "#aa6e28")  # told apart by most eyes
SMALLEST = 384  # pixels along the longer side, so that labels can be read


def with_boxes(image: Image.Image, layout: Layout) -> Image.Image:
    """The image, enlarged if it is small, with every box in the colour of its phrase and the phrase in the box's corner."""
    zoom = max(1, -(-SMALLEST // max(image.size)))
    width, height = image.width * zoom, image.height * zoom
    shown = image.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(shown)
    line = max(2, max(shown.size) // 200)
    font = ImageFont.load_default(size=max(11, max(shown.size) // 32))
    for index, phrase in enumerate(layout.phrases):
        colour = COLOURS[index % len(COLOURS)]
        for box in phrase.boxes:
            left, top, right, bottom = box.left * width, box.top * height, box.right * width - 1, box.bottom * height - 1
            draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=line)
            corner = left + line + 2, top + line + 1
            draw.rectangle(draw.textbbox(corner, phrase.text, font=font, stroke_width=2), fill=colour)
            draw.text(corner, phrase.text, fill="white", font=font)
    return shown


def strip(frames: Sequence[Image.Image]) -> Image.Image:
    """The frames side by side, from left to right."""
    gap = 4
    width, height = frames[0].size
    sheet = Image.new("RGB", (len(frames) * (width + gap) - gap, height), "white")
    for place, frame in enumerate(frames):
        sheet.paste(frame, (place * (width + gap), 0))
    return sheet
