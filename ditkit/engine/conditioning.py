"""Everything a network derives from time and label alone, computed before the steps that use it and looked up at each.

Shapes: E evaluations, U distinct labels, R rows of a network batch.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ditkit.models.backbone import Backbone

PIECE_BYTES = 256 * 2**20  # a table larger than this is computed in pieces of consecutive evaluations


class ConditioningTable:
    """The conditioning of every (evaluation, label) pair of a batch: all rows of a piece in one product, never one per step.

    A piece is all evaluations, unless that would take more than `PIECE_BYTES`; one evaluation is computed first to find out.
    """

    def __init__(self, backbone: Backbone, times: Sequence[float], labels: Sequence[int], device: torch.device, *, guided: bool) -> None:
        self._backbone = backbone
        self._times_E1 = torch.tensor(times, dtype=torch.float32, device=device)[:, None]
        y_U = torch.tensor(labels, dtype=torch.long, device=device)
        self._labels_1U = (torch.cat([y_U, backbone.null(y_U[:1])]) if guided else y_U)[None]  # not every network has a null label
        self._column = {label: column for column, label in enumerate(labels)}
        self._device = device
        self._first = 0
        self._piece: Any = None
        self._length = len(times)
        self._length = self._evaluations_per_piece()

    @property
    def null_column(self) -> int:
        return len(self._column)

    def rows(self, labels: Sequence[int], *, guided: bool) -> Tensor:
        """The table columns of a batch: its labels, then as many null labels when guided."""
        columns = [self._column[label] for label in labels]
        return torch.tensor(columns + [self.null_column] * len(columns) * guided, device=self._device)

    def at(self, evaluation: int, rows_R: Tensor) -> Any:
        """The conditioning of one network batch at one evaluation."""
        first = evaluation - evaluation % self._length
        if self._piece is None or first != self._first:
            self._first = first
            self._piece = self._backbone.condition(self._times_E1[first : first + self._length], self._labels_1U)
        return _take(self._piece, evaluation - first, rows_R)

    def _evaluations_per_piece(self) -> int:
        one = self._backbone.condition(self._times_E1[:1], self._labels_1U)
        return max(1, min(len(self._times_E1), PIECE_BYTES // max(_bytes(one), 1)))


def _take(values: Any, evaluation: int, rows_R: Tensor) -> Any:
    """Row `evaluation` and columns `rows_R` of every tensor in a nest of tuples; a dimension of size 1 is broadcast."""
    if isinstance(values, Tensor):
        row = values[evaluation if len(values) > 1 else 0]
        return row.index_select(0, rows_R) if len(row) > 1 else row.expand(len(rows_R), *row.shape[1:])
    parts = [_take(value, evaluation, rows_R) for value in values]
    return type(values)(*parts) if hasattr(values, "_fields") else tuple(parts)


def _bytes(values: Any) -> int:
    if isinstance(values, Tensor):
        return values.numel() * values.element_size()
    return sum(map(_bytes, values))
