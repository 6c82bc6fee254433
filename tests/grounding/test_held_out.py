"""The shipped layouts to measure grounding with are those that the code draws."""

from collections import Counter

from ditkit.config.compose import compose
from ditkit.config.layouts import NAMED, shipped
from ditkit.config.schema.train import TrainConfig
from ditkit.data.captions import held_out
from ditkit.data.scenes import overlap
from ditkit.grounding.held_out import SHARED, held_out_layouts
from ditkit.grounding.layout_file import parse_layouts
from ditkit.tasks.ground import read_named

LAYOUTS = held_out_layouts(compose(TrainConfig, ["preset=pixart-emoji"]).scenes.nouns, 100)


def test_the_shipped_file_is_what_is_drawn() -> None:
    assert parse_layouts(shipped(NAMED["held-out"]), "held-out", lines=True) == tuple(LAYOUTS) == read_named("held-out")


def test_every_thing_is_half_of_a_pair_that_training_never_shows() -> None:
    assert Counter(len(layout.boxes) for layout in LAYOUTS) == {1: 25, 2: 25, 3: 25, 4: 25}
    for layout in LAYOUTS:
        assert len(layout.texts) == 1 or all(any(held_out(noun, other) for other in layout.texts) for noun in layout.texts)
        assert all(overlap(box, other) < SHARED for box in layout.boxes for other in layout.boxes if box is not other)
