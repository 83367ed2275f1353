"""Does the graph answer as the model in memory does?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.schema import Output

TOLERANCE = {"float64": 1e-12, "float32": 1e-6}
"""How far a number may lie from the model in memory, relative to the scale of its output.

float32 only where the library itself adds up in float32, whose sums depend on their order.
"""

LARGEST_TIED_SHARE = 0.05
"""The largest share of the rows of `X` whose answer may differ because the library chooses between equals by chance."""

Answers = dict[str, "NDArray[Any]"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One answer that differs: `output` at `row`, what the model in memory gave and what the graph gave."""

    output: str
    row: int
    expected: Any
    got: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """`tied_rows`: rows whose answer differs, but whose two best classes tie within the tolerance, or that a
    lowering says the library decides by chance.
    """

    max_error: float
    tied_rows: tuple[int, ...]
    first: Difference | None


def compare(
    expected: Answers,
    got: Answers,
    outputs: Sequence[Output],
    tolerance: float,
    tied: NDArray[np.bool_] | None = None,
) -> Comparison:
    """Compare the answers to the same rows; labels must be equal but for ties, numbers within `tolerance`.

    The scale of an output is the largest finite magnitude the model in memory answered, at least 1. Rows in which
    `tied` holds may differ.
    """
    worst = 0.0
    ties: set[int] = set()
    first: Difference | None = None
    for output in outputs:
        known, answered = expected[output.name], got[output.name]
        excused = np.zeros(len(known), dtype=np.bool_) if tied is None else tied
        if output.name == "prediction" and output.classes is not None:
            wrong = _different(known, answered)
            excused = excused | _ties(expected, tolerance)
        elif output.type == "string":
            wrong = _different(known, answered)
        else:
            errors = scaled_errors(known, answered)
            wrong = np.any((errors > tolerance).reshape(len(errors), -1), axis=1)
            worst = max(worst, float(errors[~(wrong & excused)].max(initial=0.0)))
        ties.update(np.flatnonzero(wrong & excused).tolist())
        difference = _first(output.name, known, answered, wrong & ~excused)
        if difference is not None and (first is None or difference.row < first.row):
            first = difference
    return Comparison(worst, tuple(sorted(ties)), first)


def scaled_errors(expected: Any, got: Any) -> NDArray[np.float64]:
    """|expected - got| / scale, 0 where both are NaN or the same infinity, infinite where only one is.

    `got` is taken in the shape of `expected`; another number of values is a difference everywhere.
    """
    known = np.asarray(expected, dtype=np.float64)
    answered = np.asarray(got, dtype=np.float64)
    if known.size != answered.size:
        return np.full(known.shape, np.inf)
    answered = answered.reshape(known.shape)
    finite = np.abs(known[np.isfinite(known)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    same = (known == answered) | (np.isnan(known) & np.isnan(answered))
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.where(same, 0.0, np.abs(known - answered) / scale)
    return np.where(np.isnan(errors), np.inf, errors)


def _ties(expected: Answers, tolerance: float) -> NDArray[np.bool_]:
    numbers = expected.get("probabilities", expected.get("scores"))
    if numbers is None or (numbers.ndim == 2 and numbers.shape[1] < 2):
        return np.zeros(len(expected["prediction"]), dtype=np.bool_)
    if numbers.ndim == 1:
        return np.asarray(np.abs(numbers) <= tolerance)
    best = np.sort(numbers, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0] <= tolerance, dtype=np.bool_)


def _different(known: NDArray[Any], answered: NDArray[Any]) -> NDArray[np.bool_]:
    """The rows whose labels or texts differ."""
    pairs = zip(known.tolist(), answered.tolist(), strict=True)
    return np.array([a != b for a, b in pairs], dtype=np.bool_)


def _first(name: str, known: Any, answered: Any, wrong: NDArray[np.bool_]) -> Difference | None:
    rows = np.flatnonzero(wrong)
    if len(rows) == 0:
        return None
    row = int(rows[0])
    return Difference(name, row, known[row : row + 1].tolist()[0], answered[row : row + 1].tolist()[0])
