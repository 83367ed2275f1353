"""How the columns of a table become the arguments of a network: the same for the graph and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import UnsupportedModelError
from afterfit.schema import groups_by_size, open_table, rows_of, take_group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from afterfit.schema import ColumnData

Matrix = tuple[int, ...]
"""The positions of the columns of one argument."""


def bind(
    network: object, names: Sequence[str], tensors: Sequence[bool], parameters: Sequence[str]
) -> list[Matrix]:
    """The columns of each argument, in the order of `parameters`.

    Columns of single values alone are one matrix `[N, columns]`, unless each is called as a parameter; otherwise
    each column is an argument of its own, found by name, or by order where the names are others.
    Raises `UnsupportedModelError` where they do not fit.
    """
    own = any(tensors) or (len(parameters) > 1 and set(names) == set(parameters))
    if not own and len(parameters) == 1:
        return [tuple(range(len(names)))]
    if own and set(names) == set(parameters):
        return [(names.index(parameter),) for parameter in parameters]
    if own and len(names) == len(parameters):
        return [(position,) for position in range(len(names))]
    raise UnsupportedModelError(
        type(network).__name__,
        "",
        f"it takes {', '.join(parameters)}, and X has {', '.join(names[:10])}",
        "Give X as a dict with one array for each of its arguments, under its name",
    )


def read_arguments(
    network: object, frame: Any, parameters: Sequence[str], dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The arguments for the rows of a table; one array a row where sizes differ. Raises `ValueError` for text.

    `dtype`: the precision of the network, which floats and all columns of single values are given in.
    """
    if hasattr(frame, "toarray"):
        frame = frame.toarray()
    table = open_table(frame)
    columns = [table.read(position) for position in range(len(table.names))]
    tensors = [column.shape is not None for column in columns]
    arguments = []
    for positions in bind(network, table.names, tensors, parameters):
        parts = [_values(columns[position], dtype) for position in positions]
        own = any(tensors) or len(parameters) > 1
        arguments.append(parts[0] if own else np.column_stack(parts))
    return arguments


def _values(column: ColumnData, dtype: np.dtype[Any]) -> NDArray[Any]:
    if column.shape is not None:
        if column.element == "float":
            parts = [part.astype(dtype) for part in column.values]
            return rows_of(parts) if -1 in column.shape else np.stack(parts)
        return column.values
    if column.kind not in {"float", "integer", "boolean"}:
        raise ValueError(f"a network reads numbers, and column {column.name!r} holds other values")
    values = column.values.astype(dtype)
    return values if column.missing is None else np.where(column.missing, dtype.type(np.nan), values)


def runs(
    arguments: Sequence[NDArray[Any]], size: int
) -> Iterator[tuple[NDArray[np.intp], list[NDArray[Any]]]]:
    """The rows that run together, at most `size`, with their arguments."""
    packed = {str(position): values for position, values in enumerate(arguments)}
    for group in groups_by_size(packed):
        for start in range(0, len(group), size):
            rows = group[start : start + size]
            yield rows, [take_group(values, rows) for values in packed.values()]
