"""One column of a table, in the one form that inference and packing read."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from afterfit.schema._mistakes import clip, is_missing
from afterfit.schema._types import FLOAT_EXACT, LogicalType, Scalar
from afterfit.schema._values import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


OBJECT = np.dtype(object)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)

Kind = LogicalType | Literal["empty", "mixed", "refused", "tensor"]

_KINDS = (
    ("bool", "booleans"),
    ("int", "integers"),
    ("uint", "integers"),
    ("float16", "16-bit floats"),
    ("halffloat", "16-bit floats"),
    ("longdouble", "long doubles"),
    ("float128", "long doubles"),
    ("float96", "long doubles"),
    ("float", "floats"),
    ("complex", "complex numbers"),
    ("str", "strings"),
    ("datetime", "datetimes"),
    ("timestamp", "datetimes"),
    ("nattype", "datetimes"),
    ("timedelta", "durations"),
    ("duration", "durations"),
    ("month_day_nano", "durations"),
    ("date", "dates"),
    ("time", "times"),
    ("period", "periods"),
    ("interval", "intervals"),
    ("decimal", "decimals"),
    ("bytes", "bytes"),
    ("binary", "bytes"),
    ("large_binary", "bytes"),
    ("fixed_size_binary", "bytes"),
    ("list", "lists"),
    ("large_list", "lists"),
    ("fixed_size_list", "lists"),
    ("tuple", "lists"),
    ("array", "lists"),
    ("ndarray", "lists"),
    ("void", "records"),
    ("struct", "records"),
    ("dict", "objects"),
    ("map", "objects"),
)


def name_kind(dtype: object) -> str:
    """A plural for what a dtype or Python type holds, such as `datetimes`."""
    spelled = dtype.__name__ if isinstance(dtype, type) else str(dtype)
    # The name alone: `timestamp[us, tz=UTC]` and `Datetime(time_unit='us')` hold datetimes.
    name = re.split(r"[\[(<, ]", spelled.lower(), maxsplit=1)[0].rstrip("0123456789_")
    plurals = dict(_KINDS)
    return plurals.get(spelled.lower()) or plurals.get(name) or f"values of type {clip(spelled)}"


_FAMILIES: tuple[tuple[tuple[type, ...], Kind], ...] = (
    ((bool, np.bool_), "boolean"),
    ((int, np.integer), "integer"),
    ((float, np.float32), "float"),
    ((str,), "string"),
)


_PLAIN = frozenset({bool, int, float, str, type(None)})


@dataclass(frozen=True, slots=True)
class ColumnData:
    """One column, `rows` long.

    `values` by `kind`: float -> float64, NaN where missing; integer -> int64 or uint64, any value where
    missing; boolean -> bool; string -> the position of each value in `words`, -1 where missing; mixed -> the
    Python objects; tensor -> `[N, *shape]`, or a 1-D object array of arrays where the sizes of rows differ, of
    float64, int64, bool or str objects by `element`; empty (every value is missing, of no type) and refused ->
    nothing. `missing` is None where nothing is. `dtype` is what numpy or scikit-learn would hold. `refusal` says
    why no graph can hold the column, for mixed and refused ones.
    """

    name: str
    rows: int
    kind: Kind
    values: NDArray[Any]
    missing: NDArray[np.bool_] | None
    dtype: np.dtype[Any]
    words: tuple[str, ...] = ()
    categorical: bool = False
    categories: tuple[Scalar, ...] | None = None
    refusal: str | None = None
    originals: tuple[Any, ...] | None = None
    """The Python values, where `values` holds some of them as another type."""
    shape: tuple[int, ...] | None = None
    """Of a tensor column the sizes of a row's value, -1 where they differ."""
    element: LogicalType | None = None
    """Of a tensor column the type of its elements."""

    @property
    def type(self) -> LogicalType | None:
        """The kind, where it is a type that graphs hold."""
        if self.kind in {"empty", "mixed", "refused"}:
            return None
        return self.element if self.kind == "tensor" else cast("LogicalType", self.kind)

    @property
    def held(self) -> str:
        """What a mixed or refused column holds, such as `datetimes`."""
        return (self.refusal or "").removeprefix("which holds ").removeprefix("whose categories are ")

    def value(self, row: int) -> object:
        """The Python value at `row`; None where it is missing."""
        if self.kind in {"empty", "refused"} or (self.missing is not None and self.missing[row]):
            return None
        if self.originals is not None:
            return self.originals[row]
        if self.kind == "string":
            return self.words[self.values[row]]
        value = self.values[row]
        return value.item() if isinstance(value, np.generic) else value

    def scalars(self) -> tuple[Scalar, ...]:
        """All values that are not missing, as Python scalars."""
        present = self.values if self.missing is None else self.values[~self.missing]
        if self.kind == "string":
            return tuple(self.words[code] for code in present.tolist())
        return tuple(present.tolist())

    def take(self, codes: NDArray[np.intp]) -> ColumnData:
        """The column whose row `i` is row `codes[i]` of this one, missing where that is -1."""
        missing: NDArray[np.bool_] = codes < 0
        if self.missing is not None:
            missing |= self.missing[codes]
        values = self.values[codes] if len(self.values) else np.zeros(len(codes), dtype=self.values.dtype)
        if self.kind == "float":
            values[missing] = np.nan
        elif self.kind == "string":
            values[missing] = -1
        return replace(self, rows=len(codes), values=values, missing=missing if missing.any() else None)


def refuse(name: str, rows: int, reason: str) -> ColumnData:
    """A column that no graph can hold."""
    return ColumnData(name, rows, "refused", np.empty(0), None, OBJECT, refusal=reason)


def empty(name: str, rows: int) -> ColumnData:
    """A column without any value, hence of no type."""
    return ColumnData(
        name,
        rows,
        "empty",
        np.empty(0),
        np.ones(rows, dtype=np.bool_),
        OBJECT,
        refusal="which holds no value at all, so that its type is unknown",
    )


def from_numbers(
    name: str,
    values: NDArray[Any],
    missing: NDArray[np.bool_] | None = None,
    dtype: np.dtype[Any] | None = None,
) -> ColumnData:
    """A column of a numpy dtype of booleans, integers or floats; other dtypes are refused.

    `missing` marks missing values besides NaN. `dtype`: what scikit-learn holds, where that is another.
    """
    rows = len(values)
    if missing is not None and not missing.any():
        missing = None
    held = dtype or values.dtype
    if values.dtype == BOOL:
        return ColumnData(name, rows, "boolean", values, missing, held)
    if values.dtype.kind == "i":
        return ColumnData(name, rows, "integer", values.astype(np.int64, copy=False), missing, held)
    if values.dtype.kind == "u":
        fits = values.dtype.itemsize < 8 or not rows or values.max() <= INT64_MAX
        return ColumnData(
            name,
            rows,
            "integer",
            values.astype(np.int64 if fits else np.uint64, copy=False),
            missing,
            held,
            refusal=None if fits else "which holds integers beyond 64 signed bits",
        )
    if values.dtype.kind == "f":
        if values.dtype.itemsize not in {4, 8}:
            return refuse(name, rows, f"which holds {name_kind(values.dtype)}")
        numbers = values.astype(np.float64, copy=False)
        absent: NDArray[np.bool_] = np.isnan(numbers)
        if missing is not None:
            absent |= missing
            numbers = np.where(absent, np.nan, numbers)
        return ColumnData(name, rows, "float", numbers, absent if absent.any() else None, held)
    return refuse(name, rows, f"which holds {name_kind(values.dtype)}")


def is_nested(value: object) -> bool:
    """Whether a Python value is a list, a tuple or an array of at least one dimension."""
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def from_numpy(name: str, values: NDArray[Any]) -> ColumnData:
    """A column of a 1-D numpy array of any dtype."""
    if values.dtype.kind in {"O", "U", "T"}:
        return from_objects(name, values.tolist())
    return from_numbers(name, values)


def from_words(
    name: str, codes: NDArray[np.intp], words: Sequence[str], missing: NDArray[np.bool_] | None
) -> ColumnData:
    """A column of strings; `codes` are positions in `words`, -1 where missing."""
    if missing is not None and not missing.any():
        missing = None
    return ColumnData(name, len(codes), "string", codes, missing, OBJECT, words=tuple(words))


def from_objects(name: str, values: list[Any], *, native: bool = False) -> ColumnData:
    """A column of Python objects: strings, booleans, integers or floats, with None, NaN or `pandas.NA`.

    `native`: report the dtype these values have in a table of their own instead of what scikit-learn makes
    of objects (float64 for every kind of number).
    """
    found: dict[Kind, None] = {}
    strange: dict[str, None] = {}
    absent = False
    for kind in set(map(type, values)):
        family = next((family for types, family in _FAMILIES if issubclass(kind, types)), None)
        if family is not None:
            found[family] = None
        elif kind is type(None) or kind.__name__ == "NAType":
            absent = True
        else:
            strange[name_kind(kind)] = None
    missing: NDArray[np.bool_] | None = None
    if absent or "float" in found:
        missing = np.fromiter(map(is_missing, values), dtype=np.bool_, count=len(values))
        if "float" in found and len(found) > 1 and not _any_float(values):
            del found["float"]
        if missing.all():
            found.clear()
        missing = missing if missing.any() else None
    if not found and not strange:
        return empty(name, len(values))
    if strange and not found and not absent and all(map(is_nested, values)):
        from afterfit.schema._tensors import from_nested

        return from_nested(name, values)
    if set(found) == {"integer", "float"} and not strange:
        return _join_numbers(name, values, missing)
    if strange or len(found) != 1:
        return _mixed(name, values, sorted(found), sorted(strange), missing)
    [kind_found] = found
    if kind_found == "string":
        return from_strings(name, values)
    return _pack_numbers(name, kind_found, values, missing, native=native)


def from_values(name: str, values: list[Any]) -> ColumnData:
    """A column of any values that JSON holds, objects and lists too, which no rule accepts."""
    if {type(value) for value in values} <= _PLAIN:
        return from_objects(name, values, native=True)
    objects = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        objects[row] = value
    return ColumnData(name, len(values), "mixed", objects, None, OBJECT, refusal="which holds mixed values")


def _any_float(values: list[Any]) -> bool:
    """Whether any float is not NaN."""
    return any(isinstance(value, float | np.floating) and value == value for value in values)  # noqa: PLR0124


def _join_numbers(name: str, values: list[Any], missing: NDArray[np.bool_] | None) -> ColumnData:
    """A column of integers and floats, as floats if those hold every integer exactly."""
    integers = [value for value in values if isinstance(value, int | np.integer)]
    if min(integers) < -FLOAT_EXACT or max(integers) > FLOAT_EXACT:
        mixed = _mixed(name, values, ["integer", "float"], [], missing)
        return replace(mixed, refusal="which holds integers beyond 2**53 beside floats")
    column = _pack_numbers(name, "float", values, missing, native=True)
    return replace(column, originals=tuple(values))


def _mixed(
    name: str, values: list[Any], found: list[Kind], strange: list[str], missing: NDArray[np.bool_] | None
) -> ColumnData:
    plural = {"boolean": "booleans", "integer": "integers", "float": "floats", "string": "strings"}
    kinds = [plural[kind] for kind in found] + strange
    reason = "which holds " + (
        " and ".join([", ".join(kinds[:-1]), kinds[-1]]) if len(kinds) > 1 else kinds[0]
    )
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return ColumnData(name, len(values), "mixed", objects, missing, OBJECT, refusal=reason)


def from_strings(name: str, values: list[Any]) -> ColumnData:
    """A column of Python strings and missing values, even if there is no string."""
    positions: dict[Any, int] = {}
    words: list[str] = []
    for value in dict.fromkeys(values):
        if is_missing(value):
            positions[value] = -1
        else:
            positions[value] = len(words)
            words.append(str.__str__(value))
    codes = np.fromiter(map(positions.__getitem__, values), dtype=np.intp, count=len(values))
    return from_words(name, codes, words, codes < 0)


def _pack_numbers(
    name: str, kind: Kind, values: list[Any], missing: NDArray[np.bool_] | None, *, native: bool
) -> ColumnData:
    if kind == "float":
        numbers = np.array([None if is_missing(value) else value for value in values], dtype=np.float64)
        return from_numbers(name, numbers, missing, FLOAT64)
    held: np.dtype[Any]
    present = [0 if is_missing(value) else value for value in values] if missing is not None else values
    if kind == "boolean":
        held = BOOL if native else FLOAT64
        return from_numbers(name, np.array(present, dtype=np.bool_), missing, held)
    if not (min(present) >= INT64_MIN and max(present) <= INT64_MAX):
        big = _mixed(name, values, [kind], [], missing)
        return replace(big, refusal="which holds integers beyond 64 signed bits")
    held = INT64 if native and missing is None else FLOAT64
    return from_numbers(name, np.array(present, dtype=np.int64), missing, held)
