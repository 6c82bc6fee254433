"""Lists that are not written down."""

import pytest

from ditkit.engine.turns import Turns, distinct


def test_values_take_turns() -> None:
    turns = Turns((5, 7), 5)
    assert list(turns) == [5, 7, 5, 7, 5] and len(turns) == 5 and turns[-1] == 5 and turns[1:4] == (7, 5, 7)
    assert list(Turns(range(3), 6, each=2)) == [0, 0, 1, 1, 2, 2]
    assert distinct(turns) == {5, 7} == distinct([7, 5, 5])
    with pytest.raises(IndexError):
        turns[5]


def test_a_billion_take_no_time_and_no_room() -> None:
    turns = Turns(range(2, 10), 10**9)
    assert turns[10**9 - 1] == 9 and distinct(turns) == set(range(2, 10))
