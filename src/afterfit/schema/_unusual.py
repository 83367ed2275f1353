"""Values that a column accepts and that the model has not seen: the answer is the model's, and a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import CellError
from afterfit.schema._mistakes import Suggestions, show
from afterfit.schema._types import MISSING_TEXT, decode_text, encode_text
from afterfit.schema._values import decode_bound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.schema._types import Column, InputName, Packed, Schema

NUMERIC: tuple[InputName, ...] = ("number", "integer")


class UnusualValues:
    """Finds numbers outside the range of the training rows, and categories that no training row had.

    A missing value is never unusual: whether it may be missing is a rule of the schema. Immutable once built;
    thread-safe. Laws: `is_any(packed)` is true exactly if `find(packed)` is not empty; `find` of joined rows is
    the joined `find` of each; `columns` are those of what `find` returns.
    """

    def __init__(self, schema: Schema) -> None:
        self._order = {column.name: number for number, column in enumerate(schema.columns)}
        self._spans: dict[str, tuple[tuple[Column, ...], NDArray[Any], NDArray[Any]]] = {}
        for name in NUMERIC:
            columns = schema.packed(name)
            if any(column.range is not None for column in columns):
                low, high = np.array([_span(column) for column in columns], dtype=np.float64).T
                self._spans[name] = (columns, low, high)
        self._known = [
            (column, frozenset([*map(encode_text, _texts(column)), MISSING_TEXT]))
            for column in schema.packed("text")
            if column.categories is not None and column.categories.open
        ]

    def is_any(self, packed: Packed) -> bool:
        """Whether any value of the rows is unusual."""
        for name, (_, low, high) in self._spans.items():
            values = packed[name]
            if ((values < low) | (values > high)).any():
                return True
        return any(
            not known.issuperset(packed["text"][:, column.position].tolist()) for column, known in self._known
        )

    def find(self, packed: Packed, limit: int | None = None) -> list[CellError]:
        """Every unusual value, by row and then by column, `limit` of them at most.

        Each is described as a mistake is: `expected` is what the training rows had.
        """
        suggestions = Suggestions()
        return [
            _describe(row, column, value, suggestions)
            for row, _, column, value in self._places(packed)[:limit]
        ]

    def columns(self, packed: Packed, limit: int | None = None) -> list[str]:
        """The column of each value that `find` would describe, in that order: describing them takes long."""
        return [column.name for _, _, column, _ in self._places(packed)[:limit]]

    def _places(self, packed: Packed) -> list[tuple[int, int, Column, Any]]:
        """Row, number of the column, column and packed value of every unusual one, in order."""
        found: list[tuple[int, int, Column, Any]] = []
        for name, (columns, low, high) in self._spans.items():
            values = packed[name]
            outside = (values < low) | (values > high)
            for row, place in np.argwhere(outside).tolist() if outside.any() else ():
                column = columns[place]
                found.append((row, self._order[column.name], column, values[row, place]))
        for column, known in self._known:
            values = packed["text"][:, column.position].tolist()
            for row, value in enumerate(() if known.issuperset(values) else values):
                if value not in known:
                    found.append((row, self._order[column.name], column, decode_text(value)))
        found.sort(key=lambda item: item[:2])
        return found


def _span(column: Column) -> tuple[float, float]:
    if column.range is None:
        return -np.inf, np.inf
    return decode_bound(column.range[0]), decode_bound(column.range[1])


def _texts(column: Column) -> list[str]:
    return [str(value) for value in column.categories.values] if column.categories is not None else []


def _describe(row: int, column: Column, value: Any, suggestions: Suggestions) -> CellError:
    if column.type == "string":
        near = suggestions.find(column.name, value, _texts(column))
        fix = (
            "check the spelling: the model has not seen it" if near is None else f"did you mean {show(near)}?"
        )
        return CellError(row, column.name, "a value of the training rows", show(value), fix)
    low, high = _span(column)
    number = int(value) if column.type == "integer" else float(value)
    expected = f"a number from {show(low)} to {show(high)}, as in training"
    fix = "check the unit: the answer reaches beyond what the model has seen"
    return CellError(row, column.name, expected, show(number), fix)
