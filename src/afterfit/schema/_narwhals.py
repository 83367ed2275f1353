"""Columns of polars DataFrames and of whatever else narwhals reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from afterfit.schema._columns import (
    ColumnData,
    empty,
    from_numbers,
    from_objects,
    from_strings,
    from_words,
    name_kind,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_REPEATS = 4
"""How often a string must repeat on average for a look-up among the distinct ones to be faster."""

_INTEGERS = (nw.Int8, nw.Int16, nw.Int32, nw.Int64, nw.UInt8, nw.UInt16, nw.UInt32, nw.UInt64)


def read_series(name: str, series: nw.Series[Any]) -> ColumnData:
    """One column, of any dtype."""
    for dtypes, read in _READERS:
        if series.dtype in dtypes:
            return read(name, series)
    rows = len(series)
    if series.dtype == nw.Unknown and series.null_count() == rows:
        return empty(name, rows)
    return refuse(name, rows, f"which holds {name_kind(series.dtype)}")


def _read_booleans(name: str, series: nw.Series[Any]) -> ColumnData:
    missing = _nulls(series)
    values = (series if missing is None else series.fill_null(False)).to_numpy()
    return from_numbers(name, np.asarray(values, dtype=np.bool_), missing)


def _read_integers(name: str, series: nw.Series[Any]) -> ColumnData:
    missing = _nulls(series)
    values = (series if missing is None else series.fill_null(0)).to_numpy()
    # Beside missing values numpy holds the smallest float type that has all of these integers.
    held = None if missing is None else np.result_type(values.dtype, np.float32)
    return from_numbers(name, values, missing, held)


def _read_floats(name: str, series: nw.Series[Any]) -> ColumnData:
    return from_numbers(name, series.to_numpy())


def _read_strings(name: str, series: nw.Series[Any]) -> ColumnData:
    distinct: list[str | None] = series.unique().to_list()
    if len(distinct) > len(series) // _REPEATS:
        return from_strings(name, series.to_list())
    words = [word for word in distinct if word is not None]
    positions = list(range(len(words)))
    if len(words) < len(distinct):
        found = series.replace_strict([None, *words], [-1, *positions], return_dtype=nw.Int64)
    else:
        found = series.replace_strict(words, positions, return_dtype=nw.Int64)
    codes = np.asarray(found.to_numpy(), dtype=np.intp)
    return from_words(name, codes, words, codes < 0)


def _read_objects(name: str, series: nw.Series[Any]) -> ColumnData:
    return from_objects(name, series.to_list())


def _nulls(series: nw.Series[Any]) -> NDArray[np.bool_] | None:
    if series.null_count() == 0:
        return None
    return np.asarray(series.is_null().to_numpy(), dtype=np.bool_)


def _read_categorical(name: str, series: nw.Series[Any]) -> ColumnData:
    column = _read_strings(name, series.cast(nw.String))
    # The categories of a polars Categorical are shared by a whole process, in an order that says nothing.
    dtype = series.dtype
    learned = dtype.categories if isinstance(dtype, nw.Enum) else sorted(column.words)
    return replace(column, categorical=True, categories=tuple(learned))


_READERS: tuple[tuple[tuple[Any, ...], Callable[[str, nw.Series[Any]], ColumnData]], ...] = (
    ((nw.Boolean,), _read_booleans),
    (_INTEGERS, _read_integers),
    ((nw.Float32, nw.Float64), _read_floats),
    ((nw.String,), _read_strings),
    ((nw.Categorical, nw.Enum), _read_categorical),
    ((nw.Object, nw.List, nw.Array), _read_objects),
)
