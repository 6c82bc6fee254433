"""Long lists that are not written down: a few values that take turns."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turns(Sequence[int]):
    """`count` numbers, those of `values` in turn, each `each` times before the next."""

    values: Sequence[int]
    count: int
    each: int = 1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index):
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(self.count)))
        if not -self.count <= index < self.count:
            raise IndexError(index)
        return self.values[index % self.count // self.each % len(self.values)]


def distinct(numbers: Sequence[int]) -> set[int]:
    """The different ones, of however many."""
    return set(numbers.values if isinstance(numbers, Turns) else numbers)
