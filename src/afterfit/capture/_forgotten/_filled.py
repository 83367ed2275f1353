"""Values filled in with the median, which leaves a value that may well have been recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from afterfit.capture._forgotten._findings import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.capture._forgotten._rows import NumberColumn

ROWS_NEEDED = 30
TIMES_NEEDED = 5
SHARE_NEEDED = 0.02
"""How often the one value must recur: of fewer, chance makes as many."""

FACTOR = 2
"""Times as often as any other value."""

OTHERS_AT_MOST = 0.04
"""Share of the rows that any other value may have: where values recur, such as years of school, the commonest is often
the median too."""

DISTINCT_NEEDED = 10


def filled_with_median(judged: Sequence[NumberColumn]) -> list[Finding]:
    """A column without gaps in which one value stands out, with as many rows below it as above.

    The other values being those that the median was taken of, the rows on either side differ by no more than the value
    was recorded itself, about as often as the next one. Zero is left out: it stands out for reasons of its own.
    `benchmarks/filled.py` measures how often honest columns look like this.
    """
    for column in judged:
        if len(column.known) < len(column.values):
            continue
        found = median_filled_in(column.known)
        if found is not None:
            value, times, next_times = found
            return [
                Finding(
                    f"X looks filled in: {value!r} recurs {times} times in {column.name!r}, where no other value does "
                    f"more than {next_times} times, and it is the median of the others",
                    "imputer",
                )
            ]
    return []


def median_filled_in(values: NDArray[np.float64]) -> tuple[float, int, int] | None:
    """The value that stands out at the median, how often it recurs, and how often the next one does."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(values) < ROWS_NEEDED or len(distinct) < DISTINCT_NEEDED:
        return None
    next_place, place = np.argsort(counts, kind="stable")[-2:]
    value, times, next_times = float(distinct[place]), int(counts[place]), int(counts[next_place])
    if value == 0 or times < max(TIMES_NEEDED, SHARE_NEEDED * len(values), FACTOR * next_times):
        return None
    if next_times > max(1, OTHERS_AT_MOST * len(values)):
        return None
    below, above = int((values < value).sum()), int((values > value).sum())
    return None if abs(below - above) > next_times else (value, times, next_times)
