"""Rows that a model has to answer: those given, and new ones in between."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from afterfit.schema import Column

Row = dict[str, Any]

_FRESH = 0.5
"""The share of values that are drawn anew; the others are those of some row that was given."""

_MISSING = 0.03


class RowMaker:
    """Makes rows that fit the columns: each value is that of some given row, or one within the column's range."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Row], chance: random.Random) -> None:
        self._columns = columns
        self._rows = rows
        self._chance = chance

    def mutate(self) -> Row:
        """A new row. Every column that the row it starts from has is there."""
        start = self._chance.choice(self._rows)
        return {
            column.name: self._value(column, start[column.name])
            for column in self._columns
            if column.name in start
        }

    def _value(self, column: Column, known: Any) -> Any:
        if column.shape is None and column.nullable and self._chance.random() < _MISSING:
            return None
        if column.shape is None and self._chance.random() < _FRESH:
            drawn = self._draw(column)
            if drawn is not None:
                return drawn
        other = self._chance.choice(self._rows)
        return other.get(column.name, known)

    def _draw(self, column: Column) -> Any:
        """A value of the column's categories or of its range; None where it has neither."""
        if column.categories is not None and column.categories.values:
            return self._chance.choice(column.categories.values)
        if column.type == "boolean":
            return self._chance.random() < 0.5
        if column.range is None or column.type not in {"float", "integer"}:
            return None
        low, high = (float(end) for end in column.range)
        if not (math.isfinite(low) and math.isfinite(high)):
            return None
        if column.type == "integer":
            return self._chance.randint(math.ceil(low), math.floor(high))
        return low + (high - low) * self._chance.random()
