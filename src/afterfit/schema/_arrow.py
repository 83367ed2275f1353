"""Columns of Arrow tables, and of DataFrames that keep Arrow arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from afterfit.schema._columns import (
    FLOAT64,
    ColumnData,
    empty,
    from_numbers,
    from_objects,
    from_words,
    name_kind,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def read_array(name: str, array: Any) -> ColumnData:
    """One column: a `pyarrow.ChunkedArray` or `pyarrow.Array` of any type."""
    column = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    for fits, read in _READERS:
        if fits(column.type):
            return read(name, column)
    return refuse(name, len(column), f"which holds {name_kind(column.type)}")


def _read_nulls(name: str, column: Any) -> ColumnData:
    return empty(name, len(column))


def _read_booleans(name: str, column: Any) -> ColumnData:
    values = column.fill_null(False).to_numpy()
    return from_numbers(name, np.asarray(values, dtype=np.bool_), _nulls(column))


def _read_integers(name: str, column: Any) -> ColumnData:
    missing = _nulls(column)
    values = (column if missing is None else column.fill_null(0)).to_numpy()
    return from_numbers(name, values, missing, FLOAT64 if missing is not None else None)


def _read_floats(name: str, column: Any) -> ColumnData:
    return from_numbers(name, column.to_numpy())


def _nulls(column: Any) -> NDArray[np.bool_] | None:
    if column.null_count == 0:
        return None
    return np.asarray(column.is_null().to_numpy(), dtype=np.bool_)


def _codes(column: Any) -> tuple[NDArray[np.intp], Any]:
    """The codes of a dictionary column, -1 where null, and the one dictionary they point into."""
    unified = column if column.num_chunks == 1 else column.unify_dictionaries()
    if unified.num_chunks == 0:
        return np.empty(0, dtype=np.intp), pa.array([], column.type.value_type)
    parts = [indices_of(chunk.indices) for chunk in unified.chunks]
    codes = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return codes.astype(np.intp, copy=False), unified.chunk(0).dictionary


def indices_of(found: Any) -> NDArray[Any]:
    """The indices of a dictionary array, -1 where null."""
    if found.null_count:
        found = found.cast(pa.int64()).fill_null(-1)
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _read_strings(name: str, column: Any) -> ColumnData:
    # Offsets of 32 bits could overflow when chunks are joined, and string views have no dictionary kernel.
    if column.num_chunks != 1 or types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    codes, words = _codes(column.dictionary_encode())
    return from_words(name, codes, words.to_pylist(), codes < 0)


def _read_dictionary(name: str, column: Any) -> ColumnData:
    if column.num_chunks > 1 and any(chunk.dictionary.null_count for chunk in column.chunks):
        # pyarrow does not unify dictionaries that hold a null.
        column = column.cast(column.type.value_type).dictionary_encode()
    codes, dictionary = _codes(column)
    learned = read_array(name, dictionary)
    if learned.kind in {"mixed", "refused"}:
        return refuse(name, len(column), f"whose categories are {learned.held}")
    if learned.kind == "empty":
        return empty(name, len(column))
    taken = learned.take(codes)
    held = taken.dtype
    if taken.kind == "integer" and taken.missing is not None:
        held = FLOAT64
    # A dictionary may repeat a value; categories do not.
    return replace(taken, dtype=held, categorical=True, categories=tuple(dict.fromkeys(learned.scalars())))


def _read_lists(name: str, column: Any) -> ColumnData:
    return from_objects(name, column.to_pylist())


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[str, Any], ColumnData]], ...] = (
    (types.is_null, _read_nulls),
    (types.is_boolean, _read_booleans),
    (types.is_integer, _read_integers),
    (types.is_float32, _read_floats),
    (types.is_float64, _read_floats),
    (types.is_string, _read_strings),
    (types.is_large_string, _read_strings),
    (types.is_string_view, _read_strings),
    (types.is_dictionary, _read_dictionary),
    (types.is_list, _read_lists),
    (types.is_large_list, _read_lists),
    (types.is_fixed_size_list, _read_lists),
)
