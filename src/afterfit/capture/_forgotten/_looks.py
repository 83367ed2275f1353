"""How `X` itself looks: scaled, encoded or filled in before it was given. All of it likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from afterfit.capture._forgotten._filled import filled_with_median
from afterfit.capture._forgotten._findings import Finding
from afterfit.capture._forgotten._lattice import is_short, odd_step, odd_value
from afterfit.capture._forgotten._one_hot import one_hot_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.capture._forgotten._rows import NumberColumn, Rows

EXACT = 1e-6
"""A StandardScaler leaves a mean of 1e-16 and a variance of 1 to 1e-15 (float32: 1e-7). A random sample of n rows has
a mean of about 1 / sqrt(n), so that of 1e12 rows would pass."""

ROWS_NEEDED = 10
"""Of fewer rows, a median of 0 or a maximum of 1 says little."""

_FULL_RANGE = 1e-9


def look_findings(rows: Rows) -> list[Finding]:
    """What `X` looks like, by the first rule that holds for its columns of numbers, and by each of the encoders."""
    if rows.count < ROWS_NEEDED:
        return []
    judged = [column for column in rows.columns if not column.boolean and _is_measured(column)]
    scaled = _scaled(judged)
    return scaled + one_hot_findings(rows) + (_filled(judged) or filled_with_median(judged)) + _codes(judged)


def _is_measured(column: NumberColumn) -> bool:
    """Whether it holds more than two values, or two that are not short decimals: 0/1 columns are honest."""
    known = column.known
    if len(known) == 0:
        return False
    least, most = known.min(), known.max()
    between = bool(((known != least) & (known != most)).any())
    return between or (least < most and not bool(is_short(np.array([least, most])).all()))


def _fractional(columns: Sequence[NumberColumn]) -> list[NumberColumn]:
    return [column for column in columns if bool((column.known != np.round(column.known)).any())]


def _scaled(judged: Sequence[NumberColumn]) -> list[Finding]:
    fractional = _fractional(judged)
    evidence = (
        _standardised(fractional)
        or _min_max(judged, fractional)
        or _max_abs(judged, fractional)
        or _robust(fractional)
        or _unit_rows(judged, fractional)
        or _off_grid(fractional)
    )
    return [] if evidence is None else [Finding(evidence, "scaler")]


def _count(columns: Sequence[NumberColumn]) -> str:
    shown = ", ".join(repr(column.name) for column in columns[:3])
    more = ", ..." if len(columns) > 3 else ""
    return f"{len(columns)} column{'s' if len(columns) > 1 else ''} ({shown}{more})"


def _standardised(fractional: Sequence[NumberColumn]) -> str | None:
    """Every fractional column of mean 0 and variance 1; whole numbers may have passed beside the scaler."""
    if not fractional:
        return None
    for column in fractional:
        known = column.known
        variance = float(known.var())
        if len(known) < 2 or abs(float(known.mean())) > EXACT:
            return None
        if min(abs(variance - 1), abs(variance * len(known) / (len(known) - 1) - 1)) > EXACT:
            return None
    first = fractional[0].known
    return (
        f"X looks standardised: mean 0 and variance 1 within {EXACT:g} in {_count(fractional)}; "
        f"{fractional[0].name!r} has mean {first.mean():.1e} and variance {first.var():.7g}"
    )


def _min_max(judged: Sequence[NumberColumn], fractional: Sequence[NumberColumn]) -> str | None:
    """Every column from exactly 0, or -1, to exactly 1. One such column alone may be a share."""
    if len(fractional) < 2:
        return None
    ends = {(float(column.known.min()), float(column.known.max())) for column in judged}
    for low in (0.0, -1.0):
        if all(abs(a - low) <= _FULL_RANGE and abs(b - 1) <= _FULL_RANGE for a, b in ends):
            return f"X looks min-max scaled: {_count(judged)} all run from exactly {low:g} to exactly 1"
    return None


def _max_abs(judged: Sequence[NumberColumn], fractional: Sequence[NumberColumn]) -> str | None:
    if len(fractional) < 2 or len(fractional) < len(judged):
        return None
    if all(abs(float(np.abs(column.known).max()) - 1) <= _FULL_RANGE for column in judged):
        return f"X looks scaled by its largest values: the largest magnitude is exactly 1 in {_count(judged)}"
    return None


def _robust(fractional: Sequence[NumberColumn]) -> str | None:
    """Median 0 and interquartile range 1; a column whose quartiles are equal is only centred."""
    if len(fractional) < 2:
        return None
    spread = 0
    for column in fractional:
        low, median, high = np.percentile(column.known, [25, 50, 75])
        if abs(median) > EXACT or (high > low and abs(high - low - 1) > EXACT):
            return None
        spread += int(high > low)
    if spread < 2:
        return None
    return (
        f"X looks robust-scaled: median 0 and interquartile range 1 within {EXACT:g} in {_count(fractional)}"
    )


def _unit_rows(judged: Sequence[NumberColumn], fractional: Sequence[NumberColumn]) -> str | None:
    """Rows of Euclidean length 1, of two columns or more that are not all 0 and 1."""
    if len(judged) < 2 or len(fractional) < len(judged):
        return None
    matrix = np.stack([column.values for column in judged], axis=1)
    norms = np.sqrt((matrix**2).sum(axis=1))
    if bool(np.all(np.abs(norms - 1) <= EXACT)):
        return f"X looks normalised row by row: every row of {_count(judged)} has length 1 within {EXACT:g}"
    return None


def _off_grid(fractional: Sequence[NumberColumn]) -> str | None:
    """Values on even grids of odd steps, in ranges that a scaler leaves: part of a larger table that was scaled."""
    if len(fractional) < 2:
        return None
    shares = [np.mean([bounds(column.known) for column in fractional]) for bounds in _SIGNATURES]
    if max(shares) < SIGNED_SHARE:
        return None
    few = [column for column in fractional if len(np.unique(column.known)) <= FEW_VALUES]
    weighed = [column for column in fractional if len(np.unique(column.known)) > FEW_VALUES]
    steps = [(column, odd_step(column.known)) for column in weighed]
    found = [(column, step) for column, step in steps if step is not None]
    short = [column for column in weighed if np.mean(is_short(column.known)) > 0.5]
    beside = [column for column in few if not is_short(column.known).any()]
    if (
        not found
        or len(found) + len(beside) < 2
        or len(short) * 2 > len(found)
        or len(found) * 2 < len(weighed)
    ):
        return None
    column, step = found[0]
    return (
        f"X looks scaled: the values of {_count([c for c, _ in found])} lie on even grids, as recorded values do, "
        f"and are no round decimals; those of {column.name!r} are {step:.10g} apart"
    )


SIGNED_SHARE = 0.9
"""Share of the columns in the range that one scaler leaves; a part of the rows misses it in a skewed column."""

FEW_VALUES = 10
"""A tenth and its multiples are what a scaler may leave of a column of few values."""


def _near_standard(values: NDArray[np.float64]) -> bool:
    return abs(float(values.mean())) <= 0.5 and 0.3 <= float(values.std()) <= 2


def _near_unit(values: NDArray[np.float64]) -> bool:
    return float(values.min()) >= -0.2 and float(values.max()) <= 1.2 and float(np.ptp(values)) >= 0.2


def _near_robust(values: NDArray[np.float64]) -> bool:
    low, median, high = np.percentile(values, [25, 50, 75])
    return bool(abs(median) <= 0.5 and (high == low or 0.5 <= high - low <= 2))


def _near_max_abs(values: NDArray[np.float64]) -> bool:
    return 0.7 <= float(np.abs(values).max()) <= 1.3


_SIGNATURES = (_near_standard, _near_unit, _near_robust, _near_max_abs)


def _filled(judged: Sequence[NumberColumn]) -> list[Finding]:
    """A value of many digits that recurs among short decimals, and is their mean: a SimpleImputer left it."""
    for column in judged:
        if len(column.known) < len(column.values):
            continue
        odd = odd_value(column.known)
        if odd is None:
            continue
        value, count = odd
        rest = column.known[column.known != value]
        if abs(value - float(rest.mean())) <= MEAN_WITHIN * float(rest.std()):
            return [
                Finding(
                    f"X looks filled in: {value!r} recurs {count} times in {column.name!r} among values of few "
                    f"decimals, and their mean is {rest.mean():.10g}",
                    "imputer",
                )
            ]
    return []


MEAN_WITHIN = 0.3
"""In standard deviations: the mean of all rows and that of a part of 100 of them are closer than this."""

NOMINAL = frozenset(
    {
        "airline",
        "airport",
        "borough",
        "brand",
        "breed",
        "carrier",
        "city",
        "class",
        "color",
        "colour",
        "country",
        "county",
        "dest",
        "destination",
        "district",
        "ethnicity",
        "gender",
        "genre",
        "industry",
        "island",
        "job",
        "manufacturer",
        "marital",
        "nationality",
        "neighborhood",
        "neighbourhood",
        "occupation",
        "origin",
        "profession",
        "race",
        "region",
        "religion",
        "sector",
        "sex",
        "species",
        "state",
        "supplier",
        "tailnum",
        "vendor",
        "weekday",
    }
)
"""Words for things that have names and no order; a column called by one that holds 0, 1, ..., k - 1 holds codes."""


def _codes(judged: Sequence[NumberColumn]) -> list[Finding]:
    found = []
    for column in judged:
        words = column.name.lower().replace("-", "_").replace(" ", "_").replace(".", "_").split("_")
        if not NOMINAL & set(words) or len(column.known) < len(column.values):
            continue
        distinct = np.unique(column.known)
        if len(distinct) >= 3 and np.array_equal(distinct, np.arange(len(distinct))):
            found.append((column, len(distinct)))
    if not found:
        return []
    column, count = found[0]
    return [
        Finding(
            f"X looks encoded: {_count([c for c, _ in found])} named for things without an order hold label codes; "
            f"{column.name!r} holds exactly 0, 1, ..., {count - 1}",
            "encoder",
        )
    ]
