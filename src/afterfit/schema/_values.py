"""The rules of a value: what each column accepts, and how a value stands in a packed input.

Every way into the graph (requests, lists of dicts, tables) asks this file. `Rule.read` is the authority for
one value; the vectorised checks below say only which values are known to be good, and whatever they do not
vouch for is put to `Rule.read`.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from afterfit.schema._mistakes import BareWord, MisfitError, clip, is_missing, name_list, show
from afterfit.schema._types import FLOAT_EXACT, MISSING_TEXT, encode_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.schema._types import Column

FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
FLOAT64_MAX: Final = sys.float_info.max
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

SPELLED_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The strings that stand for the floats JSON has no spelling for."""


def decode_bound(value: float | str) -> float:
    """An end of a column's range as a float; schema.json spells infinities as strings."""
    return SPELLED_FLOATS[value] if isinstance(value, str) else float(value)


def _widen(reached: float) -> float:
    """The largest magnitude accepted where training reached `reached`: the end of its class of floats."""
    if math.isinf(reached):
        return math.inf
    return FLOAT64_MAX if reached > FLOAT32_MAX else FLOAT32_MAX


class Rule:
    """What one column accepts and how its values stand in the packed input.

    `low` and `high`: the numbers accepted, both included. `closed`: the packed values that are accepted, or
    None where every value is. `missing`: how a missing value is packed. Immutable once built.
    """

    __slots__ = ("closed", "column", "expected", "high", "low", "missing", "nullable", "wanted")

    def __init__(self, column: Column) -> None:
        self.column = column
        # int64 has no missing value.
        self.nullable = column.nullable and column.input != "integer"
        self.missing: float | str = MISSING_TEXT if column.type == "string" else math.nan
        self.low, self.high = self._limits(column)
        bounds = column.bounds
        if bounds is not None:
            # An integer is compared with integers, so that those beyond 2**53 are not rounded.
            up, down = (math.ceil, math.floor) if column.type == "integer" else (float, float)
            if not math.isinf(bounds.lowest):
                self.low = max(self.low, up(bounds.lowest))
            if not math.isinf(bounds.highest):
                self.high = min(self.high, down(bounds.highest))
        self.closed: frozenset[Any] | None = None
        if column.categories is not None and not column.categories.open:
            self.closed = frozenset(self._pack_category(value) for value in column.categories.values)
        self.wanted = self._describe()
        self.expected = self.wanted + (" or null" if self.nullable else "")

    @staticmethod
    def _limits(column: Column) -> tuple[float, float]:
        if column.type == "integer":
            if column.input == "integer":
                return INT64_MIN, INT64_MAX
            return -FLOAT_EXACT, FLOAT_EXACT
        if column.type == "float":
            low, high = column.range or (0.0, 0.0)
            return -_widen(-decode_bound(low)), _widen(decode_bound(high))
        return 0.0, 1.0

    def _pack_category(self, value: str | float) -> str | float:
        if isinstance(value, str):
            return encode_text(value)
        return int(value) if self.column.input == "integer" else float(value)

    def _describe(self) -> str:
        categories = self.column.categories
        if self.closed is not None and categories is not None:
            return f"one of {name_list(categories.values)}"
        kind = self.column.type
        if kind in {"float", "integer"}:
            noun = "a number" if kind == "float" else "an integer"
            if self.column.bounds is None:
                return noun
            words = self.column.bounds.in_words()
            return f"{noun} of {words}" if words.startswith("at ") else f"{noun} {words}"
        return "true or false" if kind == "boolean" else "a string"

    def read(self, value: object) -> Any:
        """The packed form of one value: float, int (`integer` input) or str (`text` input).

        Raises `MisfitError` where the column does not accept it.
        """
        plain = self._read_plain(value)
        if plain is not None:
            return plain
        if isinstance(value, np.generic):
            value = value.item()
        if is_missing(value):
            return self._read_missing(value)
        kind = self.column.type
        packed: float | str
        if kind == "string":
            packed = self._read_string(value)
        elif kind == "float":
            packed = self._read_float(value)
            if packed != packed:  # noqa: PLR0124  NaN, which was spelled out
                return self._read_missing(value)
        elif kind == "integer":
            packed = self._read_integer(value)
        else:
            if not isinstance(value, bool):
                raise self._misfit(value)
            packed = float(value)
        if self.closed is not None and packed not in self.closed:
            raise self._outside(value)
        return packed

    def _read_plain(self, value: object) -> float | str | None:
        """What the rest of `read` would answer, for most values at once; None where it has to be asked."""
        if self.closed is not None:
            return None
        kind = self.column.type
        if type(value) is float and kind == "float" and self.low <= value <= self.high:
            return value
        if type(value) is int and kind == "integer" and self.low <= value <= self.high:
            return value if self.column.input == "integer" else float(value)
        if type(value) is str and kind == "string" and value.isascii() and value[:1] != MISSING_TEXT:
            return value
        return None

    def _read_missing(self, value: object) -> float | str:
        if not self.nullable:
            raise MisfitError(
                self.expected,
                show(value),
                "send a value: the model has no answer where this column is missing",
            )
        return self.missing

    def _read_string(self, value: object) -> str:
        if not isinstance(value, str):
            raise self._misfit(value)
        text = str.__str__(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise MisfitError(
                self.expected, show(value), "send valid Unicode: this string has half of a surrogate pair"
            ) from None
        return encode_text(text)

    def _read_float(self, value: object) -> float:
        if isinstance(value, bool):
            raise self._misfit(value)
        if isinstance(value, int):
            try:
                number = float(value)
            except OverflowError:
                raise self._beyond(value) from None
        elif isinstance(value, float):
            number = float(value)
        elif isinstance(value, str) and value in SPELLED_FLOATS:
            number = SPELLED_FLOATS[value]
            if math.isnan(number):
                return number
        else:
            raise self._misfit(value)
        if not self.low <= number <= self.high:
            raise self._beyond(value)
        return number

    def _read_integer(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._misfit(value)
        if isinstance(value, float):
            if not value.is_integer():
                raise self._misfit(value)
            # A float of 2**53 or beyond may stand for its neighbours too, so it names no one integer.
            if abs(value) >= FLOAT_EXACT:
                raise self._beyond(value)
        whole = int(value)
        if not self.low <= whole <= self.high:
            raise self._beyond(value)
        return whole if self.column.input == "integer" else float(value)

    def _outside(self, value: object) -> MisfitError:
        categories = self.column.categories.values if self.column.categories is not None else ()
        fix = "send one of the values the model learned"
        return MisfitError(self.expected, show(value), fix, value, categories)

    def _beyond(self, value: object) -> MisfitError:
        bounds = self.column.bounds
        if bounds is not None and isinstance(value, int | float) and not bounds.admit(value):
            return MisfitError(self.expected, show(value), "the model has no answer for other numbers")
        if self.column.type == "integer":
            if self.column.input == "integer":
                limit, fix = "an integer of 64 bits", "send it without a point or exponent, within 64 bits"
            else:
                limit, fix = "an integer within 2**53 of 0", "send an integer that a float64 holds exactly"
        elif isinstance(value, float | str) and math.isinf(float(value)):
            limit = "a finite number"
            fix = "send null for a missing value" if self.nullable else f"send {limit}"
        else:
            limit = f"a number from {self.low:.6g} to {self.high:.6g}"
            fix = "the model was never fitted on such magnitudes: check the unit"
        return MisfitError(limit, show(value), fix)

    def _misfit(self, value: object) -> MisfitError:
        """The mistake of a value of another type than the column's."""
        kind = self.column.type
        fix = f"send {self.wanted}"
        if isinstance(value, BareWord):
            if value.text[-1:].isalpha():
                fix = "this word is not JSON; " + (
                    "send null for a missing value" if self.nullable else f"send {self.wanted}"
                )
            else:
                fix = "no 64-bit float is that large"
        elif isinstance(value, str):
            if not value.strip() and self.nullable:
                fix = "send null for a missing value"
            elif kind in {"float", "integer"} and _looks_numeric(value):
                fix = f"send {clip(value.strip())} without the quotes"
            elif kind == "boolean":
                fix = "send true or false without quotes"
        elif isinstance(value, bool) and kind != "string":
            fix = f"send {int(value)} if that is meant"
        elif kind == "string" and isinstance(value, int | float):
            fix = f'send it in quotes: "{show(value)}"'
        elif kind == "integer" and isinstance(value, float) and math.isfinite(value):
            fix = "send a number without a fraction"
        elif kind == "boolean" and isinstance(value, int | float) and value in {0, 1}:
            fix = f"send {show(bool(value))}"
        return MisfitError(self.expected, show(value), fix)

    def vouch(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of the numbers (float64, int64 or uint64, any shape) are certainly accepted.

        NaN counts as a missing value. Floats for integers are vouched for below 2**53.
        """
        low, high = self.low, self.high
        floating = numbers.dtype.kind == "f"
        if floating and self.column.type == "integer":
            low, high = max(low, 1 - FLOAT_EXACT), min(high, FLOAT_EXACT - 1)
        if numbers.dtype.kind == "u":
            low = max(low, 0)
        if self.column.type == "float" and not floating and self.column.bounds is None:
            good = np.ones(numbers.shape, dtype=np.bool_)
        else:
            good = (numbers >= low) & (numbers <= high)
        if floating:
            if self.column.type == "integer":
                good &= numbers == np.floor(numbers)
            if self.nullable:
                good |= np.isnan(numbers)
        if self.closed is not None:
            learned = np.array(list(self.closed), dtype=np.float64 if floating else None)
            inside = np.isin(numbers, learned)
            good &= inside | np.isnan(numbers) if floating else inside
        return good


def _looks_numeric(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
