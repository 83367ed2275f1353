"""What the model learned, held against the values of `X`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afterfit.capture._forgotten._clues import clues
from afterfit.capture._forgotten._findings import Finding
from afterfit.lowering import public_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from afterfit.capture._forgotten._clues import Clue
    from afterfit.capture._forgotten._rows import NumberColumn, Rows
    from afterfit.lowering import Context

Verdict = Literal["fits", "unlikely", "impossible"]

POINTS_NEEDED = 3
"""Fewer thresholds or centres than this may lie outside a few rows."""

OUTSIDE_COVER = 0.5
"""Share of the values of `X` outside the range of all training rows. A held-out row lies outside the range of n
training rows with probability 2 / (n + 1); time may move a column, not most of them past all it ever was."""

ONE_SIDE = 0.95
"""Share of the distinct values of `X` beyond all thresholds, on one side of them."""

OUTSIDE_POINTS = 0.3
"""Share of thresholds outside the range of `X`; 0 on the training rows, about 2 / (n + 1) on n others of them."""

ROWS_FOR_SHARES = 50
DISTANCE = 2.0
"""Means this many standard deviations apart. Two halves of one distribution are about 0.1 apart. The sorted halves of
a normal one are 1.6 apart, the setosas of iris 1.8 from all its flowers in the length of their petals."""

RATIO = 5.0
"""Standard deviations of a column this many times apart."""

ROWS_FOR_NARROW = 30
"""A few rows from the top of a sorted file are honestly narrower than all of them."""


@dataclass(frozen=True)
class _Judged:
    verdict: Verdict
    sentence: str


def learned_findings(context: Context, rows: Rows) -> list[Finding]:
    """Columns whose values in `X` lie elsewhere than what the model learned of them, if most of them do."""
    judged: dict[int, _Judged] = {}
    by_position = {column.position: column for column in rows.columns}
    for clue in clues(context):
        column = by_position.get(clue.column)
        if column is None or not _varies(column):
            continue
        found = _judge(clue, column)
        if found is None:
            continue
        known = judged.get(clue.column)
        if known is None or _RANK[found.verdict] > _RANK[known.verdict]:
            judged[clue.column] = found
    return _majority(judged.values()) + _spread_findings(context, rows)


_RANK: dict[Verdict, int] = {"fits": 0, "unlikely": 1, "impossible": 2}


def _majority(judged: Iterable[_Judged]) -> list[Finding]:
    held = list(judged)
    for verdicts, contradiction in (({"impossible"}, True), ({"impossible", "unlikely"}, False)):
        against = [one for one in held if one.verdict in verdicts]
        if len(against) * 2 > len(held):
            share = f" (so in {len(against)} of {len(held)} columns)" if len(held) > 1 else ""
            shown = next((one for one in against if one.verdict == "impossible"), against[0])
            return [Finding(shown.sentence + share, "scaler", contradiction=contradiction)]
    return []


def _varies(column: NumberColumn) -> bool:
    known = column.known
    return len(known) > 0 and bool(known.min() < known.max())


def _judge(clue: Clue, column: NumberColumn) -> _Judged | None:
    if clue.points is not None:
        return _judge_points(clue, column)
    return _judge_moments(clue, column)


def _judge_points(clue: Clue, column: NumberColumn) -> _Judged | None:
    points, values = clue.points, column.known
    few = points is None or (len(points) < POINTS_NEEDED and not clue.covers)
    if points is None or len(points) == 0 or (few and len(values) < ROWS_FOR_SHARES):
        return None
    low, high = float(points.min()), float(points.max())
    sentence = (
        f"{_of(clue, column)} {low:.6g} and {high:.6g}, "
        f"and in X it runs from {values.min():.6g} to {values.max():.6g}"
    )
    slack = 1e-6 * (float(np.ptp(values)) + max(abs(low), abs(high)))
    if low > values.max() + slack or high < values.min() - slack:
        return _Judged("impossible", sentence)
    if clue.covers:
        outside = float(np.mean((values < low - slack) | (values > high + slack)))
        if outside > OUTSIDE_COVER:
            return _Judged("impossible", f"{sentence}, {outside:.0%} of its values outside")
    elif not few and (reason := _one_sided(points, values, slack)) is not None:
        return _Judged("unlikely", f"{sentence}, {reason}")
    other = clue.decimals and _other_digits(points, values)
    words = ", in round decimals, which what it learned is not" if other else ""
    return _Judged("unlikely" if other else "fits", sentence + words)


def _one_sided(points: NDArray[np.float64], values: NDArray[np.float64], slack: float) -> str | None:
    """Why thresholds or centres are unlikely to have been learned from such values; None where they are not."""
    distinct = np.unique(values)
    beyond = max(
        float(np.mean(distinct < points.min() - slack)), float(np.mean(distinct > points.max() + slack))
    )
    if beyond > ONE_SIDE:
        return f"{beyond:.0%} of its values on one side"
    share = float(np.mean((points < values.min() - slack) | (points > values.max() + slack)))
    if share > OUTSIDE_POINTS and len(values) >= ROWS_FOR_SHARES:
        return f"with {share:.0%} of what it learned outside"
    return None


DECIMALS = 3
"""Columns of at most this many decimals; half of the sum of two such values has one more."""

ROUND_SHARE = 0.2
"""Of numbers with all digits about 2 % agree with one of four places to 1e-6, what float32 resolves."""


def _other_digits(points: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
    """Whether `values` are decimals of few places and `points`, kept from such values or halfway, are not."""
    if len(values) < ROWS_FOR_SHARES or not _agree(values, DECIMALS, 1e-9).all():
        return False
    distinct = np.unique(points)
    return len(distinct) >= 2 and float(_agree(distinct, DECIMALS + 1, 1e-6).mean()) <= ROUND_SHARE


def _agree(values: NDArray[np.float64], decimals: int, tolerance: float) -> NDArray[np.bool_]:
    """Which values are decimals, as float64 or, to `tolerance`, through the float32 that trees compare."""
    rounded = np.round(values, decimals)
    near = np.abs(values - rounded) <= tolerance * np.maximum(1, np.abs(values))
    return np.asarray(near | (values == rounded.astype(np.float32)))


def _of(clue: Clue, column: NumberColumn) -> str:
    return clue.what.format(repr(column.name))


def _judge_moments(clue: Clue, column: NumberColumn) -> _Judged | None:
    values = column.known
    mean, deviation = float(values.mean()), float(values.std())
    learned = clue.deviation if clue.deviation is not None else deviation
    if clue.mean is None or deviation == 0 or learned == 0:
        return None
    distance = abs(clue.mean - mean) / np.hypot(learned, deviation) * np.sqrt(2)
    narrow = deviation / learned
    sentence = (
        f"{clue.what} say mean {clue.mean:.6g}"
        + (f" and deviation {clue.deviation:.6g}" if clue.deviation is not None else "")
        + f" for {column.name!r}, which has mean {mean:.6g} and deviation {deviation:.6g} in X"
    )
    wide = narrow > RATIO or (narrow < 1 / RATIO and len(values) >= ROWS_FOR_NARROW)
    return _Judged("unlikely" if distance > DISTANCE or wide else "fits", sentence)


SPECTRUM = 10.0
"""How far two singular values may part, each relative to the largest, before two tables are of different scales."""

_WIDEST = 500


def _spread_findings(context: Context, rows: Rows) -> list[Finding]:
    """LinearRegression keeps the singular values of its centred training rows, PCA their total variance."""
    found = []
    for step in context.steps:
        name = public_name(step.estimator)
        if name not in _SPREAD:
            continue
        origins = step.received.origins
        columns = [rows[origin.column] for origin in origins if origin is not None and origin.verbatim]
        held = [column.values for column in columns if column is not None]
        if not held or len(held) != len(origins) or len(held) > _WIDEST:
            continue
        matrix = np.stack(held, axis=1)
        matrix = matrix[~np.isnan(matrix).any(axis=1)]
        if len(matrix) >= ROWS_FOR_SHARES:
            found += _SPREAD[name](step.estimator, matrix)
    return found


def _compare_total(estimator: Any, matrix: NDArray[np.float64]) -> list[Finding]:
    share = float(np.sum(estimator.explained_variance_ratio_))
    learned = float(np.sqrt(np.sum(estimator.explained_variance_) / share)) if share > 0 else 0.0
    spread = float(np.sqrt(matrix.var(axis=0).sum()))
    if min(learned, spread) == 0 or 1 / RATIO <= spread / learned <= RATIO:
        return []
    evidence = f"its rows had a deviation of {learned:.6g} over all columns together, and those of X have {spread:.6g}"
    return [Finding(evidence, "scaler")]


def _compare_spectra(estimator: Any, matrix: NDArray[np.float64]) -> list[Finding]:
    learned = np.asarray(getattr(estimator, "singular_", ()), dtype=np.float64)
    if learned.ndim != 1 or len(learned) == 0 or len(matrix) < 3 * matrix.shape[1]:
        return []
    if estimator.fit_intercept:
        matrix = matrix - matrix.mean(axis=0)
    values = np.linalg.svd(matrix, compute_uv=False)
    trusted = min(int(estimator.rank_), int((values > values[0] * 1e-12).sum()))
    if trusted == 0 or learned[0] <= 0:
        return []
    fitted_rows = float((learned**2).sum() / ((values**2).sum() / len(matrix)))
    shape = np.log(learned[:trusted] / learned[0]) - np.log(values[:trusted] / values[0])
    apart = float(np.exp(np.abs(shape).max()))
    if fitted_rows >= estimator.rank_ / 3 and apart <= SPECTRUM:
        return []
    if fitted_rows < estimator.rank_ / 3:
        evidence = (
            f"its singular_ values say that it was fitted on {fitted_rows:.2g} rows of the spread of X, "
            f"and it has {estimator.rank_} coefficients"
        )
    else:
        evidence = (
            f"its singular_ values run over a factor {learned[0] / learned[trusted - 1]:.3g}, and those of X "
            f"over {values[0] / values[trusted - 1]:.3g}"
        )
    return [Finding(evidence, "scaler")]


_SPREAD: dict[str, Callable[[Any, NDArray[np.float64]], list[Finding]]] = {
    "sklearn.linear_model.LinearRegression": _compare_spectra,
    "sklearn.decomposition.PCA": _compare_total,
    "sklearn.decomposition.IncrementalPCA": _compare_total,
}
