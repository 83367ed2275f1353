"""PolynomialFeatures and SplineTransformer: more columns out of each."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Origin, Table, constant, round_to_float32
from afterfit.lowering.sklearn._array import FloatArray, transformed
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.preprocessing.PolynomialFeatures")
def lower_polynomial_features(estimator: Any, X: Table, context: Context) -> Table:
    """Products of each degree from those of the degree before, as scikit-learn multiplies them."""
    array = FloatArray(estimator, X, context)
    lowest, highest = estimator._min_degree, estimator._max_degree  # noqa: SLF001 - no public equivalent
    combine = combinations if estimator.interaction_only else combinations_with_replacement
    columns = array.var
    parts: list[Var] = []
    origins: list[Origin | None] = []
    if estimator.include_bias:
        rows = op.slice(op.shape(array.var), constant([0], np.int64), constant([1], np.int64))
        parts.append(op.expand(constant([[1.0]]), op.concat([rows, constant([1], np.int64)], axis=0)))
        origins.append(None)
    positions: dict[tuple[int, ...], int] = {}
    for degree in range(1, highest + 1):
        chosen = list(combine(range(X.width), degree))
        if not chosen:
            break
        if degree > 1:
            rest = constant([positions[indices[1:]] for indices in chosen], np.int64)
            first = constant([indices[0] for indices in chosen], np.int64)
            array.replace(op.mul(op.gather(array.var, rest, axis=1), op.gather(columns, first, axis=1)))
        positions = {indices: i for i, indices in enumerate(chosen)}
        if degree >= lowest:
            parts.append(array.var)
            origins += [_origin_of(X, indices) for indices in chosen]
    var = parts[0] if len(parts) == 1 else op.concat(parts, axis=1)
    return replace(Table.of(var, len(origins), array.dtype, transformed(origins)), sparse=X.sparse)


def _origin_of(X: Table, indices: Iterable[int]) -> Origin | None:
    """The one raw column that a product depends on, if there is one."""
    found = {X.origins[i] for i in indices}
    return found.pop() if len(found) == 1 else None


@lowers("sklearn.preprocessing.SplineTransformer")
def lower_spline_transformer(estimator: Any, X: Table, context: Context) -> Table:
    x = context.numbers(estimator, X)
    splines = estimator.bsplines_
    if estimator.extrapolation == "error":
        for position, spline in enumerate(splines):
            ends = float(spline.t[spline.k]), float(spline.t[-spline.k - 1])
            context.require(estimator, X.select([position]), Bounds(minimum=ends[0], maximum=ends[1]))
    columns = op.unsqueeze(x, constant([2], np.int64))
    values = _extrapolated(estimator, columns)
    if getattr(estimator, "handle_missing", "error") == "zeros":
        values = op.where(op.isnan(columns), constant(0.0), values)
    count = splines[0].c.shape[1]
    kept = count if estimator.include_bias else count - 1
    if kept < count:
        values = op.gather(values, constant(range(kept), np.int64), axis=2)
    var = op.reshape(values, constant([-1, X.width * kept], np.int64))
    single = X.number_dtype == np.float32 and not estimator.sparse_output
    table = Table.of(
        round_to_float32(var) if single else var,
        X.width * kept,
        np.float32 if single else np.float64,
    )
    return replace(table, sparse=estimator.sparse_output)


def _extrapolated(estimator: Any, x: Var) -> Var:
    """The spline bases `[N, d, n]` of `x` `[N, d, 1]`, continued beyond the knots as was chosen."""
    splines = estimator.bsplines_
    if estimator.extrapolation in ("continue", "error"):
        return _bases(splines, x)
    degrees = _degrees(estimator)
    low = np.array([[s.t[k]] for s, k in zip(splines, degrees, strict=True)])
    high = np.array([[s.t[-k - 1]] for s, k in zip(splines, degrees, strict=True)])
    if estimator.extrapolation == "periodic":
        span = constant(high - low)
        rest = op.mod(op.sub(x, constant(low)), span, fmod=1)
        rest = op.where(op.less(rest, constant(0.0)), op.add(rest, span), rest)
        return op.matmul(_bases(splines, op.add(constant(low), rest)), constant(splines[0].c))
    inside = _bases(splines, op.max([op.min([x, constant(high)]), constant(low)]))
    if estimator.extrapolation == "constant":
        return inside
    moved = [k if k > 1 else k + 1 for k in degrees]
    below = _line(splines, x, low, moved, first=True)
    above = _line(splines, x, high, moved, first=False)
    beyond = op.where(op.greater(x, constant(high)), above, inside)
    return op.where(op.less(x, constant(low)), below, beyond)


def _degrees(estimator: Any) -> list[int]:
    """How many knots from each end the range of each feature begins, as `transform` counts them.

    With linear extrapolation scikit-learn raises a degree of 0 or 1 to move one base more, and keeps it raised for
    the features that follow.
    """
    degrees = [int(estimator.degree)]
    for _ in estimator.bsplines_[1:]:
        raised = estimator.extrapolation == "linear" and degrees[-1] <= 1
        degrees.append(degrees[-1] + raised)
    return degrees


def _line(splines: Any, x: Var, ends: Any, moved: Sequence[int], *, first: bool) -> Var:
    """The straight continuation, from the `ends` `[d, 1]` on, of the first or the last `moved` bases of each
    feature; 0 of the others.
    """
    heights, slopes = (
        np.stack([s(end[0], nu=nu) for s, end in zip(splines, ends, strict=True)]) for nu in (0, 1)
    )
    positions = np.arange(heights.shape[1])
    count = np.array(moved)[:, None]
    moves = positions < count if first else positions >= heights.shape[1] - count
    heights, slopes = np.where(moves, heights, 0.0), np.where(moves, slopes, 0.0)
    return op.add(constant(heights), op.mul(op.sub(x, constant(ends)), constant(slopes)))


def _bases(splines: Any, x: Var) -> Var:
    """All B-splines `[N, d, n]` of the knots of each feature at `x` `[N, d, 1]`.

    By the recursion of Cox and de Boor from the interval that holds x; before the first and after the last knot
    the polynomial of the first and the last interval goes on.
    """
    knots = np.stack([s.t for s in splines])
    degree = splines[0].k
    first, last = degree, knots.shape[1] - degree - 2
    start, end = knots[:, :-1].copy(), knots[:, 1:].copy()
    start[:, first], end[:, last] = -np.inf, np.inf
    start[:, :first], end[:, :first] = np.inf, np.inf
    start[:, last + 1 :], end[:, last + 1 :] = np.inf, np.inf
    inside = op.and_(op.greater_or_equal(x, constant(start)), op.less(x, constant(end)))
    bases = op.cast(inside, to=np.float64)
    for k in range(1, degree + 1):
        rising = _slope(knots[:, k:] - knots[:, :-k])
        earlier, later = (
            op.slice(bases, constant([a], np.int64), constant([b], np.int64), constant([2], np.int64))
            for a, b in ((0, -1), (1, np.iinfo(np.int64).max))
        )
        up = op.mul(op.sub(x, constant(knots[:, : -k - 1])), constant(rising[:, :-1]))
        down = op.mul(op.sub(constant(knots[:, k + 1 :]), x), constant(rising[:, 1:]))
        bases = op.add(op.mul(up, earlier), op.mul(down, later))
    return op.where(op.isnan(x), x, bases)


def _slope(widths: Any) -> Any:
    """1 / width, 0 between equal knots."""
    return np.divide(1.0, widths, out=np.zeros_like(widths), where=widths != 0)
