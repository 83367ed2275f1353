"""Mistakes: how values are shown, what people probably meant, and how much of it is reported."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from afterfit.errors import CellError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from afterfit.schema._types import Scalar

MAX_ERRORS: Final = 1_000
"""How many mistakes one `SchemaError` lists at most."""

SHOWN_LENGTH: Final = 60
"""How many characters of a value an error shows at most."""

_FLOATS = (float, np.floating)
_COMPARED = 200
"""How many characters of a name or value are compared with others."""


class BareWord:
    """A number or word of a request that no Python number holds, such as `1e999` or `NaN`; `text` as sent."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class MisfitError(Exception):
    """One value that a rule does not accept; becomes a `CellError` once its place is known.

    `categories` are the values it might have been meant for, sought only where the mistake is reported.
    """

    def __init__(
        self, expected: str, got: str, fix: str, value: object = None, categories: Sequence[Scalar] = ()
    ) -> None:
        super().__init__(expected, got, fix)
        self.expected = expected
        self.got = got
        self.fix = fix
        self.value = value
        self.categories = categories

    def at(self, row: int | None, column: str, suggestions: Suggestions) -> CellError:
        near = suggestions.find(column, self.value, self.categories) if self.categories else None
        fix = self.fix if near is None else f"did you mean {show(near)}?"
        return CellError(row, column, self.expected, self.got, fix)


class Suggestions:
    """What people probably meant, sought with bounded effort: mistakes beyond it go without a suggestion."""

    def __init__(self) -> None:
        self._comparisons_left = 20_000
        self._categories: dict[tuple[str, object], Scalar | None] = {}

    def find(self, column: str, value: object, categories: Sequence[Scalar]) -> Scalar | None:
        """The category of `column` nearest to `value`, which is hashable."""
        key = (column, value[:_COMPARED] if isinstance(value, str) else value)
        if key not in self._categories:
            if not self._afford(len(categories)):
                return None
            self._categories[key] = _find_nearest(value, categories)
        return self._categories[key]

    def find_name(self, name: str, names: Sequence[str]) -> str | None:
        """The one of `names` most like `name`."""
        return nearest(name, names) if self._afford(len(names)) else None

    def _afford(self, comparisons: int) -> bool:
        if comparisons > self._comparisons_left:
            return False
        self._comparisons_left -= comparisons
        return True


def _find_nearest(value: object, categories: Sequence[Scalar]) -> Scalar | None:
    if isinstance(value, str):
        return nearest(value, [category for category in categories if isinstance(category, str)])
    if isinstance(value, int | float):
        return min(categories, key=lambda category: abs(float(category) - value))
    return None


class Mistakes:
    """Mistakes gathered in order of row and column, up to `MAX_ERRORS`."""

    def __init__(self) -> None:
        self.errors: list[CellError] = []
        self.truncated = False
        self.suggestions = Suggestions()

    def add(self, error: CellError) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)
        else:
            self.truncated = True

    def raise_any(self) -> None:
        """Raise `SchemaError` if there is any mistake."""
        if self.errors:
            raise SchemaError(self.errors, truncated=self.truncated)


def is_missing(value: object) -> bool:
    """Whether a Python value stands for a missing one: None, NaN of any float type, `pandas.NA`."""
    if value is None:
        return True
    if isinstance(value, _FLOATS):
        return bool(value != value)  # noqa: PLR0124  the definition of NaN, for every float type
    return type(value).__name__ == "NAType" and value is getattr(sys.modules.get("pandas"), "NA", None)


def clip(text: str, length: int = SHOWN_LENGTH) -> str:
    """`text` in at most `length` characters, printable and valid Unicode."""
    start = text[: length + 1]
    if not start.isprintable():
        start = start.encode("unicode_escape").decode("ascii")
    return start if len(start) <= length else start[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def show(value: object) -> str:
    """A short phrase for what was given, in the words of JSON where it has them."""
    if isinstance(value, np.generic):
        value = value.item()
    shown = f"a value of type {clip(type(value).__name__)}"
    if is_missing(value):
        shown = "null" if value is None else "NaN" if isinstance(value, float) else "NA"
    elif isinstance(value, bool):
        shown = "true" if value else "false"
    elif isinstance(value, int | float):
        shown = _show_number(value)
    elif isinstance(value, str):
        shown = clip(repr(value[:SHOWN_LENGTH]))
    elif isinstance(value, BareWord):
        shown = clip(value.text)
    elif isinstance(value, Mapping):
        shown = "an object"
    elif isinstance(value, list | tuple | set | frozenset | np.ndarray):
        shown = "a list"
    return shown


def _show_number(value: float) -> str:
    if isinstance(value, int):
        # The decimal digits of a huge integer take quadratic time, and Python refuses to print them.
        return (
            clip(repr(int(value))) if value.bit_length() < 512 else f"an integer of {value.bit_length()} bits"
        )
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


def name_list(values: Iterable[object], limit: int = 8) -> str:
    """The values, shown, with a count where they are many."""
    values = list(values)
    shown = ", ".join(show(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown}, ... ({len(values)} in all)"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like `name`, or None where none is alike."""
    whole = {candidate[:_COMPARED]: candidate for candidate in names}
    name = name[:_COMPARED]
    for start, candidate in whole.items():
        if start.casefold().strip() == name.casefold().strip():
            return candidate
    found = difflib.get_close_matches(name, whole, n=1, cutoff=0.6)
    return whole[found[0]] if found else None
