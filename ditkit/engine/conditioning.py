"""Everything a network derives from time and condition alone, computed before the steps that use it and looked up at each.

Shapes: E evaluations, U columns of conditions, R rows of a network batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from ditkit.engine.conditions import Conditions
from ditkit.engine.transfers import sent
from ditkit.models.backbone import Backbone

PIECE_BYTES = 256 * 2**20  # a table larger than this is computed in pieces of consecutive evaluations


class ConditioningTable:
    """The conditioning of every (evaluation, condition) pair of a batch: all rows of a piece in one product, never one per step.

    A piece is all evaluations, unless that would take more than `PIECE_BYTES`; one evaluation is computed first to find out. What
    the network passes through, such as a prompt's keys, belongs to no evaluation: it is there once.
    """

    def __init__(self, backbone: Backbone, times: Sequence[float], conditions: Conditions, device: torch.device) -> None:
        self._backbone = backbone
        self._times_E1 = sent(torch.tensor(times, dtype=torch.float32), device)[:, None]
        self._conditions = conditions
        self._timeless = {id(value) for value in tree_leaves(conditions.columns)}
        self._device = device
        self._first = 0
        self._piece: Any = None
        self._length = len(times)
        self._length = self._evaluations_per_piece()

    def rows(self, labels: Sequence[int], *, guided: bool) -> Callable[[int], Any]:
        """What a network batch is told at each evaluation: a row for each label, then if guided for what each is guided away from."""
        own, null = self._conditions.own, self._conditions.null
        columns = torch.tensor([own[label] for label in labels] + [null[label] for label in labels if guided])
        columns_R = sent(columns, self._device)
        taken: dict[int, Tensor] = {}

        def at(evaluation: int) -> Any:
            piece, offset = self._at(evaluation)

            def row(value: Tensor) -> Tensor:
                if id(value) not in self._timeless:
                    return _take(value, offset, columns_R)
                if id(value) not in taken:
                    taken[id(value)] = _take(value, 0, columns_R)
                return taken[id(value)]

            return tree_map(row, piece)

        return at

    def _at(self, evaluation: int) -> tuple[Any, int]:
        """The piece that an evaluation is in, and where."""
        first = evaluation - evaluation % self._length
        if self._piece is None or first != self._first:
            self._first = first
            self._piece = self._backbone.condition(self._times_E1[first : first + self._length], self._conditions.columns)
        return self._piece, evaluation - first

    def _evaluations_per_piece(self) -> int:
        one = self._backbone.condition(self._times_E1[:1], self._conditions.columns)
        bytes_of_one = sum(value.numel() * value.element_size() for value in tree_leaves(one) if id(value) not in self._timeless)
        return max(1, min(len(self._times_E1), PIECE_BYTES // max(bytes_of_one, 1)))


def _take(value: Tensor, evaluation: int, columns_R: Tensor) -> Tensor:
    """Row `evaluation` and the given columns of a tensor; a dimension of size 1 is broadcast."""
    row = value[evaluation if len(value) > 1 else 0]
    return row.index_select(0, columns_R) if len(row) > 1 else row.expand(len(columns_R), *row.shape[1:])
