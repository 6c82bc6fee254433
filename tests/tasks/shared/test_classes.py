"""Which rows of a label table the classes of some data take."""

from dataclasses import replace

import pytest

from ditkit.errors import DataError
from ditkit.models.registry import find
from ditkit.tasks.shared.classes import places, sized_for

DIT, UVIT, UNCONDITIONAL, CLOUDS = (find(name) for name in ("dit-s-2-256", "uvit-m-4-64", "uvit-cifar10-s-2", "dit3d-s-4-32"))
SEVEN = tuple("abcdefg")


def test_a_network_in_training_has_a_row_for_each_class_of_its_data() -> None:
    assert sized_for(DIT, SEVEN, "data", None).params == replace(DIT.params, classes=7)
    assert sized_for(DIT, SEVEN, "data", 10).params == replace(DIT.params, classes=10)
    assert sized_for(CLOUDS, SEVEN, "data", 7).params == replace(CLOUDS.params, classes=7)
    assert sized_for(UVIT, SEVEN, "data", None).params == replace(UVIT.params, classes=7)  # without a null class, as published


def test_an_unconditional_network_learns_classes_only_if_it_is_told_how_many() -> None:
    assert sized_for(UNCONDITIONAL, SEVEN, "data", None) is UNCONDITIONAL
    told = sized_for(UNCONDITIONAL, SEVEN, "data", 7)
    assert told.can_be_guided and told.label_count == 7


@pytest.mark.parametrize(
    ("spec", "wanted", "line"),
    [
        (CLOUDS, None, "without --classes 7 there is no room: data has 7 classes, dit3d-s-4-32 has 1; choose with data.categories=[...]"),
        (DIT, 5, "without --classes 7 there is no room: data has 7 classes, classes=5 makes room for 5"),
    ],
)
def test_more_classes_than_there_is_room_for_are_refused(spec: object, wanted: int | None, line: str) -> None:
    with pytest.raises(DataError) as raised:
        sized_for(spec, SEVEN, "data", wanted)  # pyright: ignore[reportArgumentType]
    assert str(raised.value) == line


def test_a_trained_model_finds_the_classes_of_data_by_their_names() -> None:
    known = ("tench, Tinca tinca", "goldfish", "hen")
    three = sized_for(DIT, known, "data", 3)
    assert places(["hen", "tinca_tinca"], three, known, "data") == [2, 0]
    assert places(["n01440764", "n01443537", "n01514668"], three, known, "data") == [0, 1, 2]  # every class, under other names
    assert places(["a", "b"], three, (), "data") == [0, 1]
    with pytest.raises(DataError, match=r"^dit-s-2-256 knows no class 'owl' of data; it knows tench, Tinca tinca, goldfish, hen$"):
        places(["hen", "owl"], three, known, "data")
    with pytest.raises(DataError, match=r"^data has 4 classes, dit-s-2-256 has 3$"):
        places(["a", "b", "c", "d"], three, known, "data")
