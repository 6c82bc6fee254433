from PIL import Image

from ditkit.grounding.draw import COLOURS, strip, with_boxes
from ditkit.grounding.layout import Box, Layout, Phrase

LAYOUT = Layout("a dog and cats", (Phrase("dog", (Box(0, 0, 0.5, 1),)), Phrase("cats", (Box(0.5, 0.5, 0.75, 1), Box(0.75, 0.5, 1, 1)))))


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def test_boxes_lie_over_an_enlarged_picture_and_have_the_colour_of_their_phrase() -> None:
    shown = with_boxes(Image.new("RGB", (100, 50), "black"), LAYOUT)
    assert shown.size == (400, 200)
    assert shown.getpixel((0, 199)) == shown.getpixel((199, 100)) == rgb(COLOURS[0])
    assert shown.getpixel((200, 199)) == shown.getpixel((399, 150)) == rgb(COLOURS[1])
    assert shown.getpixel((100, 150)) == shown.getpixel((300, 50)) == (0, 0, 0)


def test_a_large_picture_stays_as_it_is() -> None:
    assert with_boxes(Image.new("RGB", (512, 300)), LAYOUT).size == (512, 300)


def test_frames_are_side_by_side() -> None:
    sheet = strip([Image.new("RGB", (10, 6), colour) for colour in ("red", "blue")])
    assert sheet.size == (24, 6)
    assert [sheet.getpixel((x, 3)) for x in (9, 11, 14)] == [(255, 0, 0), (255, 255, 255), (0, 0, 255)]
