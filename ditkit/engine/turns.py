"""Long lists that are not written down: a few values that take turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True)
class Turns(Sequence[int]):
    """`length` numbers, those of `values` in turn, each `each` times before the next."""

    values: Sequence[int]
    length: int
    each: int = 1

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...

    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(self.length)))
        if not -self.length <= index < self.length:
            raise IndexError(index)
        return self.values[index % self.length // self.each % len(self.values)]


def distinct(numbers: Sequence[int]) -> set[int]:
    """The different ones, of however many."""
    return set(numbers.values if isinstance(numbers, Turns) else numbers)
