"""Telling rows that walk through a model one column at a time from rows as they come in life."""

from __future__ import annotations

from operator import ne
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from afterfit.schema import Packed

    Rows = np.ndarray[Any, Any]


SAMPLE: Final = 8
"""Of so many requests of one row, the second is compared with the first."""

MOST_ROWS: Final = 256
"""Rows of one request that are compared."""


class Steps:
    """Counts the rows that equal the row before in every column but one.

    Who searches a model's decision boundary, follows its gradient or reads its table out on a grid sends such rows
    one after another; rows of real cases hardly ever are. So does an honest what-if analysis: the count is for a
    person to look at. Rows are compared in the order of arrival at one worker, model by model; the first of a
    request with many, and a sample of the requests of one row.
    """

    def __init__(self) -> None:
        self._last: dict[str, list[Any]] = {}
        self._turn = -1

    def count(self, model: str, packed: Packed, rows: int) -> tuple[int, int]:
        """How many rows were compared with the one before, and how many of them were one step from it."""
        if rows > 1:
            cells = [_comparable(table[:MOST_ROWS]) for table in packed.values()]
            changed = sum(np.count_nonzero(table[1:] != table[:-1], axis=1) for table in cells)
            return len(cells[0]) - 1, int(np.count_nonzero(changed == 1))
        self._turn = (self._turn + 1) % SAMPLE
        if self._turn > 1:
            return 0, 0
        row = [cell for table in packed.values() for cell in _comparable(table)[0].tolist()]
        if self._turn == 0:
            self._last = {model: row}
            return 0, 0
        last = self._last.get(model)
        return (0, 0) if last is None else (1, int(sum(map(ne, row, last)) == 1))


def _comparable(array: Rows) -> Rows:
    """Rows whose cells can be compared by `!=`, a missing number being like another; a tensor is one cell."""
    if array.ndim > 2:
        shape = (len(array), -1)
        return np.array([hash(row.tobytes()) for row in np.ascontiguousarray(array).reshape(shape)]).reshape(
            shape
        )
    return array.view(np.int64) if array.dtype == np.float64 else array
