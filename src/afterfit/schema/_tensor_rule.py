"""The rules of a value of a tensor column: how deep it nests, how long its lists are, what its elements are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from afterfit.schema._columns import is_nested
from afterfit.schema._mistakes import MAX_ERRORS, MisfitError, show
from afterfit.schema._tensors import as_numpy, rows_of
from afterfit.schema._types import TENSOR_DTYPES
from afterfit.schema._values import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from afterfit.schema._types import Column

_PLURAL = {"float": "numbers", "integer": "integers", "boolean": "booleans", "string": "strings"}


class TensorRule:
    """What one tensor column accepts, and how its values stand in the input of the graph.

    `shape`: the sizes of a value, -1 where open. `ragged`: one of them is, so that the column is packed as one
    array a row. `element`: the rule of one element. Immutable once built.
    """

    __slots__ = ("column", "dtype", "element", "expected", "nullable", "ragged", "shape")

    def __init__(self, column: Column) -> None:
        self.column = column
        self.shape: tuple[int, ...] = column.shape or ()
        self.ragged = -1 in self.shape
        self.dtype = TENSOR_DTYPES[column.type]
        shared = "integer" if column.type == "integer" else "number"
        self.element = Rule(msgspec.structs.replace(column, shape=None, input=shared, nullable=False))
        self.expected = self._describe(0)
        self.nullable = False

    def _describe(self, depth: int) -> str:
        """A phrase for a value that nests `depth` levels down."""
        if depth == len(self.shape):
            return self.element.wanted
        counts = ["" if size == -1 else f"{size} " for size in self.shape[depth:]]
        return "a list of " + "lists of ".join(counts) + _PLURAL[self.column.type]

    def read(self, value: object) -> NDArray[Any]:
        """The packed form of one value: an array of the column's sizes.

        Raises `MisfitError` where the column does not accept it.
        """
        value = as_numpy(value)
        if isinstance(value, np.ndarray) and self._accepts(value):
            return value.astype(self.dtype, copy=False)
        sizes: list[int | None] = [size if size != -1 else None for size in self.shape]
        leaves: list[Any] = []
        for misfit in self._walk(value, (), sizes, leaves):
            raise misfit
        flat = np.empty(len(leaves), dtype=self.dtype)
        flat[:] = leaves
        return flat.reshape([size or 0 for size in sizes])

    def explain(self, value: object) -> list[MisfitError]:
        """Every mistake in one value, one more than is reported at most."""
        sizes: list[int | None] = [size if size != -1 else None for size in self.shape]
        found: list[MisfitError] = []
        for misfit in self._walk(as_numpy(value), (), sizes, []):
            found.append(misfit)
            if len(found) > MAX_ERRORS:
                break
        return found

    def pack(self, values: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """What `read` returned for each row, as the input takes it."""
        if self.ragged:
            return rows_of(values)
        return np.stack(values) if values else np.empty((0, *self.shape), dtype=self.dtype)

    def vouch(self, values: NDArray[Any]) -> bool:
        """Whether all elements of an array of numbers or booleans are certainly accepted."""
        kind = values.dtype.kind
        fitting = {"float": "fiu", "integer": "iu", "boolean": "b"}.get(self.column.type, "")
        if kind not in fitting or (kind == "f" and values.dtype.itemsize not in {4, 8}):
            return False
        if kind == "b":
            return self.element.closed is None
        wide = values.astype(np.float64, copy=False) if kind == "f" else values
        return bool(self.element.vouch(wide).all())

    def fits(self, sizes: Sequence[int]) -> bool:
        """Whether the sizes of an array are those of a value."""
        return len(sizes) == len(self.shape) and all(
            size == wanted or (wanted == -1 and size > 0)
            for size, wanted in zip(sizes, self.shape, strict=True)
        )

    def _accepts(self, value: NDArray[Any]) -> bool:
        return self.fits(value.shape) and self.vouch(value)

    def _walk(
        self, value: object, place: tuple[int, ...], sizes: list[int | None], leaves: list[Any]
    ) -> Iterator[MisfitError]:
        """The mistakes of a nested value; fills in the open sizes and the elements as they are packed."""
        depth = len(place)
        if depth == len(self.shape):
            try:
                leaves.append(self.element.read(value))
            except MisfitError as misfit:
                misfit.got += _at(place)
                yield misfit
            return
        wanted = self._describe(depth)
        if not is_nested(value):
            yield MisfitError(wanted, show(value) + _at(place), f"send {wanted}")
            return
        items: Sequence[object] = value  # type: ignore[assignment]  # a list, a tuple or an array
        count = len(items)
        if count == 0 and self.shape[depth] == -1:
            yield MisfitError(wanted, f"an empty list{_at(place)}", "send at least one item")
            return
        if sizes[depth] is None:
            sizes[depth] = count
        if count != sizes[depth]:
            known = sizes[depth]
            fix = f"send {known} items" if self.shape[depth] != -1 else "send lists of one length"
            expected = wanted if self.shape[depth] != -1 else f"a list of {known}, as before it"
            yield MisfitError(expected, f"a list of {count}{_at(place)}", fix)
            return
        for position, item in enumerate(items):
            yield from self._walk(item, (*place, position), sizes, leaves)


def rule_of(column: Column) -> Rule | TensorRule:
    """The rule of a column that the model reads."""
    return Rule(column) if column.shape is None else TensorRule(column)


def _at(place: tuple[int, ...]) -> str:
    return " at " + "".join(f"[{position}]" for position in place) if place else ""
