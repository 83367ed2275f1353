"""What a raw `X` says about its columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afterfit.schema._tables import open_table
from afterfit.schema._tensors import parts_of
from afterfit.schema._types import FLOAT_EXACT

if TYPE_CHECKING:
    from afterfit.schema._columns import ColumnData
    from afterfit.schema._tables import Source
    from afterfit.schema._types import InputName, LogicalType, Scalar


@dataclass(frozen=True, slots=True)
class InferredColumn:
    """What one raw column holds.

    `dtype`: what numpy or scikit-learn would hold (object for text). `categorical`: it is of a categorical
    dtype, whose `categories` are given in the order of the dtype. `range`: the smallest and largest value of
    a number column that has any. `example`: a value of it. `input`: where it is packed; `integer` where an
    integer exceeds 2**53 in magnitude, `tensor` where a row's value is an array, of the sizes `shape` (-1 where
    they differ); `type`, `dtype` and `range` are then those of the elements. `refusal`: why no graph can hold the
    column, a phrase such as "which holds datetimes"; `type` and `input` are None then, and otherwise `refusal` is.
    """

    name: str
    type: LogicalType | None
    dtype: np.dtype[Any]
    categorical: bool
    categories: tuple[Scalar, ...] | None
    has_missing: bool
    range: tuple[float, float] | None
    example: Scalar | None
    input: InputName | Literal["tensor"] | None
    refusal: str | None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class InferredTable:
    """The columns of `X` in order.

    `named` is False for arrays without names, whose columns are called x0, x1, ... as scikit-learn does, or x for
    the only one of more than two dimensions, and for texts that are no table. `source` is the kind of table:
    `pandas`, `polars`, `pyarrow`, `frame` (another kind of DataFrame), `array`, `arrays` (several), `rows`, or `series`
    for a list of str, a Series or a 1-D array of strings.
    """

    columns: tuple[InferredColumn, ...]
    rows: int
    named: bool
    source: Source


def infer_table(X: object) -> InferredTable:
    """Infer the columns of `X`: a DataFrame (pandas, polars, pyarrow), a 2-D array, a list of dicts, or
    texts: a list of str, a Series or a 1-D array of strings, a table of one column, called as the Series or `text`.

    Or arrays of more dimensions, whose rows are the values of a tensor column: one array, a dict of names and
    arrays (those of one dimension are ordinary columns), or a list of arrays. Lists in the cells of a table are
    tensor columns too. Torch tensors count as arrays.

    Columns no graph can hold are reported with a `refusal`, not raised, since a model need not read them.
    `X` is not changed. Raises `ArgumentError` where `X` is no such table, or column names repeat.
    """
    table = open_table(X)
    columns = tuple(_infer_column(table.read(position)) for position in range(len(table.names)))
    return InferredTable(columns, table.rows, table.named, table.source)


def _infer_column(column: ColumnData) -> InferredColumn:
    refusal = column.refusal or _find_refusal(column)
    has_missing = column.missing is not None
    kind = column.type
    if refusal is not None or kind is None:
        return InferredColumn(
            column.name, None, column.dtype, column.categorical, None, has_missing, None, None, None, refusal
        )
    if column.shape is not None:
        return InferredColumn(
            column.name,
            kind,
            column.dtype,
            categorical=False,
            categories=None,
            has_missing=False,
            range=_tensor_range(column),
            example=None,
            input="tensor",
            refusal=None,
            shape=column.shape,
        )
    bounds = _find_range(column)
    packed: InputName = "number"
    if kind == "string":
        packed = "text"
    elif kind == "integer" and _exceeds(column):
        packed = "integer"
    return InferredColumn(
        column.name,
        kind,
        column.dtype,
        column.categorical,
        column.categories,
        has_missing,
        bounds,
        _find_example(column),
        packed,
        None,
    )


def _present(column: ColumnData) -> np.ndarray[Any, Any]:
    return column.values if column.missing is None else column.values[~column.missing]


def _exceeds(column: ColumnData) -> bool:
    """Whether an integer column holds a value that float64 may not hold."""
    values = _present(column)
    return bool(len(values)) and bool(values.min() < -FLOAT_EXACT or values.max() > FLOAT_EXACT)


def _find_refusal(column: ColumnData) -> str | None:
    if column.kind == "string":
        try:
            "".join(column.words).encode()
        except UnicodeEncodeError:
            return "which holds text that is not valid Unicode (half of a surrogate pair)"
    if column.kind == "integer" and column.missing is not None and _exceeds(column):
        return "which holds integers beyond 2**53 beside missing values, which no number type holds exactly"
    return None


def _tensor_range(column: ColumnData) -> tuple[float, float] | None:
    if column.element not in {"float", "integer"} or not column.rows:
        return None
    parts = parts_of(column.values)
    return float(min(part.min() for part in parts)), float(max(part.max() for part in parts))


def _find_range(column: ColumnData) -> tuple[float, float] | None:
    if column.kind not in {"float", "integer"}:
        return None
    values = _present(column)
    return (float(values.min()), float(values.max())) if len(values) else None


def _find_example(column: ColumnData) -> Scalar | None:
    """The first value; the first finite one of floats. None where there is no such value."""
    usable = np.isfinite(column.values) if column.kind == "float" else None
    if usable is None:
        usable = np.ones(column.rows, dtype=np.bool_) if column.missing is None else ~column.missing
    if not usable.any():
        return None
    value = column.value(int(usable.argmax()))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool) else None
