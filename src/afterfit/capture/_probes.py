"""Rows that random data misses: missing values, unknown categories, extremes, both sides of thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afterfit.capture._frames import MISSING, Edit, column_values, edited, row_count
from afterfit.lowering import framework_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from afterfit.capture._reference import Reference
    from afterfit.schema import Bounds, Column

ProbeKind = Literal["ordinary", "missing", "category", "extreme", "threshold", "size"]

ORDINARY_ROWS = 16
COLUMNS_PROBED = 200
"""Above this many columns, golden rows probe this many, evenly spread; missing values are probed in all."""

STRANGE_TEXT = ("a category that was never seen", "", "None", "nan", " ")
"""Strings that converters are known to confuse with a missing value or with each other."""

ANALYZED_TEXT = (
    " \t\n",
    "...!?",
    "Zwölf Boxkämpfer jagen VIKTOR über den großen Sylter Deich",
    "ΟΔΥΣΣΕΥΣ İstanbul ŒUVRE ﬁn ² Ⅷ",
    "e\u0301te\u0301 हिन्दी ภาษาไทย 日本語 العربية",
    "\U0001f600\U0001f468\u200d\U0001f680 _snake_case_ it's 3.14 x",
    "\x00\x1a\x1c\x85\u00a0\u2028word\u200bword\ufeff",
)
"""Texts at which ways of cutting text into words are known to differ."""

LONG_TEXT = 5_000
"""Characters of a long golden text."""

_REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)


@dataclass(frozen=True, slots=True)
class Probe:
    """Row `base` of `X` with `cells` (column position, value) changed."""

    kind: ProbeKind
    base: int
    cells: tuple[tuple[int, Any], ...] = ()


def model_refusals() -> tuple[type[Exception], ...]:
    """What estimators raise for rows they do not take, errors of their frameworks' own included."""
    return (*_REFUSALS, *framework_errors())


def probe_frame(frame: Any, probes: Sequence[Probe]) -> Any:
    """One table, of the kind of `frame`, with a row for each probe."""
    edits = [Edit(row, column, value) for row, probe in enumerate(probes) for column, value in probe.cells]
    return edited(frame, [probe.base for probe in probes], edits)


def refused(reference: Reference, frame: Any, probes: Sequence[Probe], output: str) -> list[Probe]:
    """The probes that the model in memory raises for, found by halving."""
    if not probes:
        return []
    rows = probe_frame(frame, probes)
    try:
        reference.answer(rows, [output])
    except model_refusals():
        if len(probes) == 1:
            return list(probes)
    else:
        return []
    half = len(probes) // 2
    return refused(reference, frame, probes[:half], output) + refused(reference, frame, probes[half:], output)


def missing_probes(frame: Any, columns: Sequence[Column]) -> list[Probe]:
    """A row for every column the model reads, with that column missing.

    Without booleans and integers beyond 2**53 that were never missing: a table cannot hold a gap among them
    without turning the whole column into Python objects, and then a model answers another question.
    """
    return [
        Probe("missing", _spread(row_count(frame), i), ((i, MISSING),))
        for i, column in enumerate(columns)
        if column.input is not None
        and column.shape is None
        and (column.nullable or (column.type != "boolean" and column.input != "integer"))
    ]


def golden_probes(frame: Any, columns: Sequence[Column]) -> list[Probe]:
    """Ordinary rows, unknown categories and extremes; `missing_probes` are apart, since they change dtypes."""
    rows = row_count(frame)
    count = min(ORDINARY_ROWS, rows)
    probes = [Probe("ordinary", int(row)) for row in np.linspace(0, rows - 1, count)]
    read = [i for i, column in enumerate(columns) if column.input is not None]
    for i in evenly(read, COLUMNS_PROBED):
        kind: ProbeKind = "category" if columns[i].type == "string" else "extreme"
        if columns[i].shape is not None:
            probes += _tensor_probes(frame, i, columns[i])
            continue
        probes += [Probe(kind, _spread(rows, i), ((i, value),)) for value in _strange_values(columns[i])]
    return probes


def all_missing_probe(columns: Sequence[Column]) -> Probe:
    """A row with every nullable column missing at once."""
    cells = tuple(
        (i, MISSING) for i, column in enumerate(columns) if column.input is not None and column.nullable
    )
    return Probe("missing", 0, cells)


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of `items`, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, count)]


def _tensor_probes(frame: Any, position: int, column: Column) -> Iterator[Probe]:
    """Rows whose whole array holds one number: the smallest and largest seen, zero, and a span beyond both.

    Where sizes are open, also the rows with the smallest and the largest array, and one cut to size 1 (a probe of the
    kind `size`, which a model need not answer).
    """
    base = _spread(row_count(frame), position)
    sample = column_values(frame, position, [base])[0]
    if -1 in (column.shape or ()):
        sizes = [np.size(value) for value in column_values(frame, position, range(row_count(frame)))]
        yield from (Probe("ordinary", int(row)) for row in (np.argmin(sizes), np.argmax(sizes)))
        cut = tuple(slice(1) if size == -1 else slice(None) for size in column.shape or ())
        yield Probe("size", base, ((position, sample[cut]),))
    if column.range is not None:
        extremes = _extremes(column, float(column.range[0]), float(column.range[1]))
        for value in dict.fromkeys([*extremes, 0]):
            if (column.bounds is None or column.bounds.admit(value)) and _holds(sample.dtype, value):
                yield Probe("extreme", base, ((position, np.full(sample.shape, value, sample.dtype)),))


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether an array of the dtype holds the value: small integers do not hold all."""
    return dtype.kind not in "iu" or bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def _strange_values(column: Column) -> Iterator[Any]:
    closed = column.categories is not None and not column.categories.open
    if column.categories is not None:
        yield from evenly(column.categories.values, 4)
    if closed or column.type == "boolean":
        return
    if column.type == "string":
        yield from STRANGE_TEXT
        if column.analyzers is not None:
            yield from ANALYZED_TEXT
            yield from _variants(str(column.example or ""))
        if column.categories is not None and column.categories.values:
            yield f"{column.categories.values[0]} "
    elif column.range is not None:
        yield from _extremes(column, float(column.range[0]), float(column.range[1]))


def _variants(text: str) -> Iterator[str]:
    """A text in upper case, with accents on it, and many times over."""
    yield text.upper()
    yield "".join(character + "\u0301" for character in text)
    if text:
        yield (text + " ") * (LONG_TEXT // (len(text) + 1))


def _extremes(column: Column, low: float, high: float) -> Iterator[Any]:
    """Minimum, maximum, and a span beyond either or as far as the column's bounds reach."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return
    span = (high - low) or 1.0
    for value in (low, high, _inside(column, low - span, low), _inside(column, high + span, high)):
        if column.type == "integer":
            yield int(value)
        elif np.isfinite(value):
            yield value


def _inside(column: Column, value: float, seen: float) -> float:
    """`value`, or the nearest to it within the column's bounds; near `seen` where a bound is not included.

    Not one step from such a bound, since columns of float32 would round it onto the bound.
    """
    bounds = column.bounds
    if bounds is None or bounds.admit(value):
        return value
    below = value < bounds.lowest
    exclusive = bounds.exclusive_minimum if below else bounds.exclusive_maximum
    if exclusive is None:
        return bounds.lowest if below else bounds.highest
    return float(round(seen)) if column.type == "integer" else exclusive + (seen - exclusive) / 1024


def outside_probes(frame: Any, index: int, column: Column, bounds: Bounds) -> list[Probe]:
    """Rows with column `index` outside of `bounds`: on them where they are not included, near and far."""
    values: list[float] = []
    for end, excluded, side in (
        (bounds.lowest, bounds.exclusive_minimum, -1.0),
        (bounds.highest, bounds.exclusive_maximum, 1.0),
    ):
        if np.isfinite(end):
            size = max(abs(end), 1.0)
            values += [end + side * size * step for step in (1e-3, 0.5, 1.0, 1e3)]
            values += [] if excluded is None else [excluded]
    probes = []
    for number, value in enumerate(values):
        away = np.floor if value < bounds.lowest else np.ceil
        cell = int(away(value)) if column.type == "integer" else value
        probes.append(Probe("extreme", _spread(row_count(frame), number), ((index, cell),)))
    return probes


def _spread(rows: int, index: int) -> int:
    return (index * 7919) % rows
