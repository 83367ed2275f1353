"""The kinds of table people hold, read column by column into one form."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afterfit.errors import ArgumentError
from afterfit.schema._columns import OBJECT, ColumnData, from_numpy, from_objects, is_nested
from afterfit.schema._mistakes import clip, name_list
from afterfit.schema._tensors import as_numpy, from_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

Source = Literal["pandas", "polars", "pyarrow", "frame", "array", "arrays", "rows", "series"]

ACCEPTED = (
    "a DataFrame (pandas, polars or pyarrow), a numpy array, a dict of names and arrays, a list of arrays, a "
    "list of dicts, or texts: a list of str or a Series"
)
SERIES_NAME = "text"
"""What the one column of texts without a name of their own is called."""


@dataclass(frozen=True, slots=True)
class TableData:
    """A table whose columns are read when asked for, so that columns nobody needs cost nothing.

    `named` is False for arrays: the columns of a 2-D array, and the arrays of a list, are called x0, x1, ... as
    scikit-learn calls them, and the one column of an array of more dimensions is called x; and for texts that are no
    table: a list of str, a Series or a 1-D array (`series`), which have one column.
    """

    names: tuple[str, ...]
    rows: int
    source: Source
    read: Callable[[int], ColumnData]
    named: bool = True


def open_table(X: object) -> TableData:
    """Recognize `X`. Raises `ArgumentError` where it is no table, or its columns cannot be told apart."""
    X = as_numpy(X)
    if is_rows(X):
        return _open_rows(X)
    if is_texts(X):
        return _open_texts(X)
    if isinstance(X, np.ndarray):
        return _open_array(X)
    if is_arrays(X):
        return _open_arrays(X)
    return _open_frame(X)


def is_rows(X: object) -> bool:
    """Whether `X` is a sequence of mappings (or an empty one)."""
    return (
        isinstance(X, Sequence)
        and not isinstance(X, str | bytes | bytearray | memoryview)
        and all(isinstance(row, Mapping) for row in X)
    )


def is_texts(X: object) -> bool:
    """Whether `X` is a list, tuple or 1-D array with a string in it, or a Series of strings."""
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and not isinstance(X, np.ma.MaskedArray) and _holds_text(X.tolist())
    if isinstance(X, list | tuple):
        return _holds_text(X)
    if _is_instance(X, "pandas", "Series") or _is_instance(X, "polars", "Series"):
        series: Any = X
        return _read_texts(series).kind == "string"
    return False


def _holds_text(values: Iterable[object]) -> bool:
    return any(isinstance(value, str) for value in values)


def texts_name(X: object) -> str:
    """What the one column of texts is called: as the Series, or `text`."""
    name: Any = getattr(X, "name", None)
    return SERIES_NAME if name is None or name == "" else column_names([name])[0]


def _open_texts(X: object) -> TableData:
    column = _read_texts(X)
    return TableData((column.name,), column.rows, "series", lambda _: column, named=False)


def _read_texts(X: Any) -> ColumnData:
    name = texts_name(X)
    if _is_instance(X, "pandas", "Series"):
        from afterfit.schema._pandas import read_series

        return read_series(name, X)
    if _is_instance(X, "polars", "Series"):
        import narwhals.stable.v2 as nw

        from afterfit.schema._narwhals import read_series as read_any_series

        return read_any_series(name, nw.from_native(X, series_only=True))
    return from_objects(name, list(X))


def is_arrays(X: object) -> bool:
    """Whether `X` is a mapping of names to arrays (or to lists of a list or array a row), or a list of arrays."""
    if isinstance(X, Mapping):
        return len(X) > 0 and all(_is_array(value) or _is_ragged(value) for value in X.values())
    return isinstance(X, list | tuple) and len(X) > 0 and all(map(_is_array, X))


def _is_array(value: object) -> bool:
    array = as_numpy(value)
    return isinstance(array, np.ndarray) and array.ndim > 0


def _is_ragged(value: object) -> bool:
    return isinstance(value, list | tuple) and all(is_nested(as_numpy(row)) for row in value)


def column_names(names: Iterable[object]) -> tuple[str, ...]:
    """Column names as strings; integers are written in decimal.

    Raises `ArgumentError` where a name is of another type or not valid Unicode, or two names are the same.
    """
    result: list[str] = []
    seen: dict[str, int] = {}
    for name in names:
        if isinstance(name, bool | np.bool_) or not isinstance(name, str | int | np.integer):
            raise ArgumentError(
                f"column names must be strings, and one is of type {clip(type(name).__name__)}; "
                "rename the columns first"
            )
        text = str(name)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ArgumentError(
                f"the column name {clip(repr(text))} is not valid Unicode; rename it"
            ) from None
        seen[text] = seen.get(text, 0) + 1
        result.append(text)
    repeated = [name for name, count in seen.items() if count > 1]
    if repeated:
        raise ArgumentError(f"column names must differ, and these repeat: {name_list(repeated)}")
    return tuple(result)


def _is_instance(X: object, module: str, name: str) -> bool:
    """Whether `X` is of a class of a library, without importing the library."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(X, kind)


def is_arrow(X: object) -> bool:
    """Whether `X` is a table, or a batch of records, of pyarrow."""
    return _is_instance(X, "pyarrow", "Table") or _is_instance(X, "pyarrow", "RecordBatch")


def _open_array(X: NDArray[Any]) -> TableData:
    if isinstance(X, np.ma.MaskedArray):
        raise ArgumentError(
            "masked arrays are not read; fill the masked values with NaN first: X.filled(np.nan)"
        )
    if X.dtype.names is not None:
        raise ArgumentError("structured arrays are not read; pass a DataFrame instead")
    values = np.asarray(X)
    if X.ndim > 2 or (X.ndim == 1 and X.dtype == OBJECT and len(X) and all(map(is_nested, X))):
        return TableData(("x",), len(X), "array", lambda _: _read_array("x", values), named=False)
    if X.ndim != 2:
        raise ArgumentError(
            f"an array must have 2 dimensions (rows, columns) or more, and this one has {X.ndim}"
        )
    names = tuple(f"x{position}" for position in range(values.shape[1]))
    return TableData(
        names,
        len(values),
        "array",
        lambda position: from_numpy(names[position], values[:, position]),
        named=False,
    )


def _open_arrays(X: Any) -> TableData:
    named = isinstance(X, Mapping)
    names = column_names(X) if named else tuple(f"x{position}" for position in range(len(X)))
    arrays: list[Any] = [as_numpy(value) for value in (X.values() if named else X)]
    lengths = dict(zip(names, map(len, arrays), strict=True))
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{clip(name)} {length:,}" for name, length in list(lengths.items())[:8])
        raise ArgumentError(f"arrays given together must have one number of rows, and these have: {shown}")
    return TableData(
        names,
        lengths[names[0]],
        "arrays",
        lambda position: _read_array(names[position], arrays[position]),
        named=named,
    )


def _read_array(name: str, values: Any) -> ColumnData:
    if not isinstance(values, np.ndarray):
        return from_objects(name, list(values), native=True)
    return from_array(name, values) if values.ndim > 1 else from_numpy(name, values)


def _open_frame(X: object) -> TableData:
    if _is_instance(X, "pandas", "DataFrame"):
        from afterfit.schema._pandas import read_series

        frame: Any = X
        names = column_names(list(frame.columns))
        return TableData(
            names,
            len(frame),
            "pandas",
            lambda position: read_series(names[position], frame.iloc[:, position]),
        )
    if is_arrow(X):
        from afterfit.schema._arrow import read_array

        table: Any = X
        names = column_names(table.schema.names)
        return TableData(
            names,
            table.num_rows,
            "pyarrow",
            lambda position: read_array(names[position], table.column(position)),
        )
    return _open_other_frame(X)


def _open_rows(X: Any) -> TableData:
    keys: dict[object, None] = dict.fromkeys(key for row in X for key in row)
    for number, row in enumerate(X):
        if len(row) != len(keys):
            absent = next(key for key in keys if key not in row)
            raise ArgumentError(
                f"row {number} has no value for {absent!r}; give None where a value is missing"
            )
    ordered = list(keys)
    names = column_names(ordered)
    return TableData(
        names,
        len(X),
        "rows",
        lambda position: from_objects(names[position], [row[ordered[position]] for row in X], native=True),
    )


def _open_other_frame(X: object) -> TableData:
    import narwhals.stable.v2 as nw

    asked: Any = X
    try:
        frame: nw.DataFrame[Any] = nw.from_native(asked, eager_only=True)
    except TypeError:
        raise ArgumentError(f"X must be {ACCEPTED}, not {_advise(X)}") from None
    from afterfit.schema._narwhals import read_series

    names = column_names(frame.columns)
    source: Source = "polars" if frame.implementation.is_polars() else "frame"
    return TableData(
        names,
        len(frame),
        source,
        lambda position: read_series(names[position], frame.get_column(names[position])),
    )


def _advise(X: object) -> str:
    kind = f"{type(X).__module__}.{type(X).__qualname__}"
    if isinstance(X, Mapping):
        return f"{kind}; for one row pass [row], for columns pandas.DataFrame(columns)"
    if type(X).__name__ == "LazyFrame":
        return f"{kind}; call .collect() first"
    if type(X).__name__ == "Series":
        return f"{kind}; call .to_frame() first"
    if hasattr(X, "toarray"):
        return f"{kind}; call .toarray() first"
    if isinstance(X, list | tuple):
        return f"{kind} of other things; for a list of lists pass numpy.array(X)"
    return kind
