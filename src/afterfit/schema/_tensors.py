"""Columns whose values are arrays: images, sequences, sets of points."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.schema._columns import OBJECT, ColumnData, is_nested, name_kind, refuse
from afterfit.schema._types import TENSOR_DTYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.schema._types import LogicalType, Packed

_ELEMENTS: dict[str, LogicalType] = {
    "b": "boolean",
    "i": "integer",
    "u": "integer",
    "f": "float",
    "U": "string",
    "T": "string",
    "O": "string",
}
MISSING_INSIDE = "which holds missing values inside its arrays; put a number that stands for them there"


class _MixedError(Exception):
    """A nested list that no array holds; the message says why."""


def as_numpy(value: object) -> object:
    """A torch tensor as a numpy array; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        array: NDArray[Any] = value.detach().cpu().numpy()
        return array
    return value


def from_array(name: str, values: NDArray[Any]) -> ColumnData:
    """A tensor column of an array `[N, ...]` of two dimensions or more."""
    if values.dtype == OBJECT:
        return from_nested(name, list(values))
    return _build(name, values, tuple(values.shape[1:]), values.dtype)


def from_nested(name: str, values: Sequence[Any]) -> ColumnData:
    """A tensor column of one nested list or array a row; sizes in which the rows differ are open."""
    try:
        arrays = [_nested_array(as_numpy(value)) for value in values]
    except _MixedError as error:
        return refuse(name, len(values), f"which holds {error}")
    if len({array.ndim for array in arrays}) > 1:
        return refuse(name, len(values), "which holds lists that nest to different depths")
    kinds = {_ELEMENTS.get(array.dtype.kind) for array in arrays}
    if len(kinds) > 1 and kinds != {"integer", "float"}:
        return refuse(name, len(values), "which holds lists of different types")
    sizes = tuple(
        found.pop() if len(found := set(axis)) == 1 else -1
        for axis in zip(*(array.shape for array in arrays), strict=True)
    )
    held = OBJECT if "string" in kinds else np.result_type(*{array.dtype for array in arrays})
    whole = np.stack(arrays).astype(held) if -1 not in sizes else rows_of(arrays)
    return _build(name, whole, sizes, held)


def _build(name: str, values: NDArray[Any], shape: tuple[int, ...], held: np.dtype[Any]) -> ColumnData:
    rows = len(values)
    element = _ELEMENTS.get(held.kind)
    if element is None or (held.kind == "f" and held.itemsize not in {4, 8}):
        return refuse(name, rows, f"which holds arrays of {name_kind(held)}")
    if 0 in shape or (-1 in shape and any(array.size == 0 for array in values)):
        return refuse(name, rows, "which holds empty arrays")
    if element == "integer" and held == np.uint64 and _largest(values) > np.iinfo(np.int64).max:
        return refuse(name, rows, "which holds integers beyond 64 signed bits")
    dtype = TENSOR_DTYPES[element]
    if -1 in shape:
        values = rows_of([array.astype(dtype, copy=False) for array in values])
    else:
        values = values.astype(dtype, copy=False)
    if element == "float" and any(np.isnan(part).any() for part in parts_of(values)):
        return refuse(name, rows, MISSING_INSIDE)
    return ColumnData(name, rows, "tensor", values, None, held, shape=shape, element=element)


def _largest(values: NDArray[Any]) -> int:
    return max(int(part.max()) for part in parts_of(values))


def is_ragged(values: NDArray[Any]) -> bool:
    """Whether an input holds one array a row, whose sizes may differ."""
    return values.dtype == OBJECT and values.ndim == 1


def parts_of(values: NDArray[Any]) -> Sequence[NDArray[Any]]:
    """The arrays that a tensor column consists of: one, or one a row."""
    return list(values) if is_ragged(values) else [values]


def rows_of(arrays: Sequence[NDArray[Any]] | NDArray[Any]) -> NDArray[Any]:
    """One array a row, in a 1-D object array."""
    rows = np.empty(len(arrays), dtype=object)
    for position, array in enumerate(arrays):
        rows[position] = array
    return rows


def groups_by_size(packed: Packed) -> list[NDArray[np.intp]]:
    """The rows whose open sizes agree, as positions in their order; one group where no size is open."""
    ragged = [values for values in packed.values() if is_ragged(values)]
    count = len(next(iter(packed.values())))
    if not ragged:
        return [np.arange(count)]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in range(count):
        groups.setdefault(tuple(values[row].shape for values in ragged), []).append(row)
    return [np.array(rows, dtype=np.intp) for rows in groups.values()]


def take_group(values: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """The rows of one group of an input, as the one array that the graph takes."""
    if is_ragged(values):
        return np.stack([values[row] for row in rows.tolist()])
    return values if len(rows) == len(values) else values[rows]


def _nested_array(value: Any) -> NDArray[Any]:
    """A nested list as an array, without the conversions between types that numpy makes."""
    if isinstance(value, np.ndarray) and value.dtype != OBJECT:
        return value
    leaves: list[Any] = []
    sizes: list[int] = []
    _flatten(value, 0, sizes, leaves)
    plain = [leaf.item() if isinstance(leaf, np.generic) else leaf for leaf in leaves]
    kinds = set(map(type, plain))
    dtypes: dict[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64, str: object}
    if None in plain or any(isinstance(leaf, float) and math.isnan(leaf) for leaf in plain):
        raise _MixedError(MISSING_INSIDE.removeprefix("which holds "))
    if kinds == {int, float}:
        kinds = {float}
    if not plain:
        raise _MixedError("empty lists")
    if len(kinds) != 1 or not kinds <= dtypes.keys():
        raise _MixedError("lists of " + " and ".join(sorted(name_kind(kind) for kind in kinds)))
    try:
        return np.array(plain, dtype=dtypes[kinds.pop()]).reshape(sizes)
    except OverflowError:
        raise _MixedError("integers beyond 64 signed bits") from None


def _flatten(value: Any, depth: int, sizes: list[int], leaves: list[Any]) -> None:
    value = as_numpy(value)
    if not is_nested(value):
        if depth != len(sizes):
            raise _MixedError("lists beside single values")
        leaves.append(value)
        return
    if depth == len(sizes):
        if leaves:
            raise _MixedError("lists beside single values")
        sizes.append(len(value))
    if len(value) != sizes[depth]:
        raise _MixedError("lists in which the inner ones differ in length")
    for item in value:
        _flatten(item, depth + 1, sizes, leaves)
