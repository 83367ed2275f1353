"""From the text of a cell to the value its column takes. The column's type decides, never the text."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from afterfit.schema import FLOAT_EXACT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from afterfit.schema import Column

ARROW_TYPES: dict[str, pa.DataType] = {
    "float": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type of a column: lists within lists for a tensor column."""
    kind = ARROW_TYPES[column.type]
    for _ in column.shape or ():
        kind = pa.list_(kind)
    return kind


MISSING_SPELLINGS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""What stands for a missing value in a column of numbers or booleans. In text these are text."""

_TRUE = ("true", "True", "TRUE", "1")
_FALSE = ("false", "False", "FALSE", "0")
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(inf|Inf|INF|Infinity|infinity)$"
_SHORT_INTEGER = r"^-?[0-9]{1,18}(\.0*)?$"
_INT64 = range(-(2**63), 2**63)

EXPECTED: dict[str, str] = {
    "float": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "text",
}
FIXES: dict[str, str] = {
    "float": "write digits with a point for the fraction, or leave the cell empty if it is missing",
    "integer": "write digits without a fraction, or leave the cell empty if it is missing",
    "boolean": "write true or false (or 1 or 0), or leave the cell empty if it is missing",
    "string": "",
}


def decode_utf8(cells: pa.Array) -> tuple[pa.Array, NDArray[np.intp]]:
    """Binary cells as strings, and the positions of those that are not UTF-8, which become null."""
    try:
        return pc.cast(cells, pa.string()), np.empty(0, np.intp)
    except pa.ArrowInvalid:
        pass
    texts: list[str | None] = []
    bad: list[int] = []
    for position, cell in enumerate(cells.to_pylist()):
        try:
            texts.append(None if cell is None else cell.decode("utf-8"))
        except UnicodeDecodeError:
            texts.append(None)
            bad.append(position)
    return pa.array(texts, pa.string()), np.array(bad, np.intp)


def convert_cells(column: Column, cells: pa.Array) -> tuple[pa.Array, NDArray[np.intp]]:
    """Cells of text as values of the column's type, and the positions that cannot be, which become null.

    Null stays null. A number or boolean may have spaces around it. Numbers are rounded correctly to float64;
    integers are exact.
    """
    if column.type == "string":
        return cells, np.empty(0, np.intp)
    return _CONVERSIONS[column.type](cells)


def _floats(cells: pa.Array) -> tuple[pa.Array, NDArray[np.intp]]:
    with suppress(pa.ArrowInvalid):
        values = pc.cast(cells, pa.float64())
        # Words such as `-nan`, which pyarrow takes for numbers, are left to the pattern.
        if pc.all(pc.is_finite(values)).as_py() is not False:
            return values, np.empty(0, np.intp)
    cells = _trim(cells)
    return _cast_matching(cells, _NUMBER, lambda good: pc.cast(good, pa.float64()))


def _integers(cells: pa.Array) -> tuple[pa.Array, NDArray[np.intp]]:
    cells = _trim(cells)
    values, odd = _cast_matching(cells, _SHORT_INTEGER, _cast_short_integers)
    if not len(odd):
        return values, odd
    parsed = [_parse_integer(text) for text in cells.take(pa.array(odd)).to_pylist()]
    mask = np.zeros(len(cells), bool)
    mask[odd] = True
    values = pc.replace_with_mask(values, pa.array(mask), pa.array(parsed, pa.int64()))
    return values, odd[[value is None for value in parsed]]


def _cast_short_integers(cells: pa.Array) -> pa.Array:
    try:
        return pc.cast(cells, pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(pc.replace_substring_regex(cells, r"\.0*$", ""), pa.int64())


def _parse_integer(text: str) -> int | None:
    """The integer a number stands for, such as `1e3` or `+5`; None if there is none, or none that fits."""
    if not re.match(_NUMBER, text, re.ASCII):
        return None
    number = Decimal(text)
    if not number.is_finite() or number.adjusted() > 20 or number != number.to_integral_value():
        return None
    if "e" in text.lower() and abs(number) > FLOAT_EXACT:
        return None
    return int(number) if int(number) in _INT64 else None


def _booleans(cells: pa.Array) -> tuple[pa.Array, NDArray[np.intp]]:
    cells = _trim(cells)
    true = pc.is_in(cells, value_set=pa.array(_TRUE))
    known = pc.or_(true, pc.is_in(cells, value_set=pa.array(_FALSE)))
    values = pc.if_else(known, true, pa.scalar(None, pa.bool_()))
    return values, _where(pc.and_(pc.is_valid(cells), pc.invert(known)))


_CONVERSIONS: dict[str, Callable[[pa.Array], tuple[pa.Array, NDArray[np.intp]]]] = {
    "float": _floats,
    "integer": _integers,
    "boolean": _booleans,
}


def _trim(cells: pa.Array) -> pa.Array:
    cells = pc.ascii_trim_whitespace(cells)
    missing = pc.is_in(cells, value_set=pa.array(MISSING_SPELLINGS))
    return pc.if_else(missing, pa.scalar(None, pa.string()), cells)


def _cast_matching(
    cells: pa.Array, pattern: str, cast: Callable[[pa.Array], pa.Array]
) -> tuple[pa.Array, NDArray[np.intp]]:
    good = pc.match_substring_regex(cells, pattern)
    values = cast(pc.if_else(good, cells, pa.scalar(None, pa.string())))
    return values, _where(pc.invert(good))


def _where(mask: pa.Array) -> NDArray[np.intp]:
    found: NDArray[np.intp] = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
    return found
