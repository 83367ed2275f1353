"""KNNImputer and IterativeImputer: missing numbers from the other numbers of a row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, Regression, Table, concatenate, constant
from afterfit.lowering.sklearn._array import FloatArray
from afterfit.lowering.sklearn._encode import is_missing
from afterfit.lowering.sklearn._impute import indicate
from afterfit.lowering.sklearn._kernels import nan_euclidean, squared_norms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_NOISE = 64 * np.finfo(np.float64).eps
"""How far apart two computations of a squared distance may be, relative to the squared lengths of the rows."""


@lowers("sklearn.impute.KNNImputer")
def lower_knn_imputer(estimator: Any, X: Table, context: Context) -> Table:
    """The mean of the nearest rows that have a value; which of several at the same distance is left to chance."""
    if estimator.weights not in ("uniform", "distance") or estimator.metric != "nan_euclidean":
        raise context.refuse(
            estimator,
            "its weights or its metric are a Python function",
            "Use weights='uniform' or 'distance' and metric='nan_euclidean', and fit again",
        )
    array = FloatArray(estimator, X, context)
    gaps = _gaps(estimator, array.var)
    x = op.where(gaps, constant(np.nan), array.var)
    kept_rows = np.asarray(estimator._fit_X, dtype=np.float64)  # noqa: SLF001 - no public equivalent
    kept_gaps = np.asarray(estimator._mask_fit_X)  # noqa: SLF001 - no public equivalent
    kept_rows = np.where(kept_gaps, np.nan, kept_rows)
    distances = nan_euclidean(x, kept_rows, squared=True)
    distances = op.where(op.isnan(distances), constant(np.inf), distances)
    filled = op.where(op.isnan(x), constant(0.0), x)
    longest = float(np.nansum(kept_rows**2, axis=1).max())
    noise = op.mul(op.add(squared_norms(filled), constant(longest)), constant(_NOISE * X.width))
    columns = []
    kept = []
    for i in range(X.width):
        if estimator._valid_mask[i]:  # noqa: SLF001 - no public equivalent
            imputed = _from_nearest(estimator, i, kept_rows, distances, noise, gaps, context)
            columns.append(op.where(_column(gaps, i), array.rounded(imputed), _column(array.var, i)))
            kept.append(i)
        elif estimator.keep_empty_features:
            columns.append(op.expand(constant([[0.0]]), op.shape(_column(array.var, i))))
            kept.append(i)
    if array.single:
        context.note_float32_sum(estimator)
    return _imputed_table(estimator, X, op.concat(columns, axis=1), kept, context)


def _from_nearest(
    estimator: Any,
    column: int,
    kept_rows: NDArray[np.float64],
    distances: Var,
    noise: Var,
    gaps: Var,
    context: Context,
) -> Var:
    """The mean `[N, 1]` of one column over the nearest of the rows kept that have a value there."""
    donors = np.flatnonzero(~np.isnan(kept_rows[:, column]))
    values = kept_rows[donors, column]
    count = min(estimator.n_neighbors, len(donors))
    taken = min(count + 1, len(donors))
    candidates = op.gather(distances, constant(donors, np.int64), axis=1)
    nearest, positions = op.top_k(candidates, constant([taken], np.int64), axis=1, largest=False)
    if taken > count:
        gap = op.sub(_column(nearest, count), _column(nearest, count - 1))
        tied = op.and_(_column(gaps, column), op.less_or_equal(gap, noise))
        context.note_ties(op.reshape(tied, constant([-1], np.int64)))
    chosen = constant(np.arange(count), np.int64)
    nearest = op.sqrt(op.gather(nearest, chosen, axis=1))
    found = op.gather(constant(values), op.gather(positions, chosen, axis=1))
    weights = op.cast(op.not_(op.isinf(nearest)), to=np.float64)
    axis = constant([1], np.int64)
    if estimator.weights == "distance":
        at_zero = op.cast(op.equal(nearest, constant(0.0)), to=np.float64)
        some = op.greater(op.reduce_max(at_zero, axis), constant(0.0))
        weights = op.where(some, at_zero, op.div(constant(1.0), nearest))
    total = op.reduce_sum(weights, axis)
    mean = op.div(op.reduce_sum(op.mul(found, weights), axis), total)
    return op.where(op.greater(total, constant(0.0)), mean, constant([[float(values.mean())]]))


@lowers("sklearn.impute.IterativeImputer")
def lower_iterative_imputer(estimator: Any, X: Table, context: Context) -> Table:
    """The rounds of fitted regressors, each of which predicts one column from the others, one after the other.

    Rows without any value are imputed like others, as scikit-learn does where they stand among other rows.
    """
    if estimator.sample_posterior:
        raise context.refuse(estimator, "it draws random numbers", "Set sample_posterior=False and fit again")
    array = FloatArray(estimator, X, context)
    received = Table.of(array.var, X.width, array.dtype, X.origins)
    initial = context.lower_transformer(estimator.initial_imputer_, received, "initial_imputer_")
    empty = _empty_features(estimator, context)
    kept = [i for i in range(X.width) if estimator.keep_empty_features or not empty[i]]
    gaps = _gaps(estimator, array.var)
    columns = [context.read_block(estimator, initial.column(j)) for j in range(len(kept))]
    sequence = estimator.imputation_sequence_ if estimator.n_iter_ else ()
    for step, (feature, others, regressor) in enumerate(sequence):
        if empty[kept[feature]]:
            continue
        predicted = _predict(regressor, [columns[j] for j in others], array.dtype, f"step[{step}]", context)
        low, high = (
            constant(np.asarray(bounds)[feature])
            for bounds in (estimator._min_value, estimator._max_value)  # noqa: SLF001 - no public equivalent
        )
        inside = array.rounded(op.max([op.min([predicted, high]), low]))
        columns[feature] = op.where(_column(gaps, kept[feature]), inside, columns[feature])
    var = columns[0] if len(columns) == 1 else op.concat(columns, axis=1)
    return _imputed_table(estimator, X, var, kept, context)


def _empty_features(estimator: Any, context: Context) -> NDArray[np.bool_]:
    """Which columns held no value at all, `[width]`; releases before 1.6 leave that in the first imputer."""
    if hasattr(estimator, "_is_empty_feature"):
        return np.asarray(estimator._is_empty_feature)  # noqa: SLF001 - no public equivalent
    if estimator.keep_empty_features:
        raise context.refuse(
            estimator,
            "with keep_empty_features this release of scikit-learn imputes values that are not missing",
            "Use scikit-learn 1.6 or later, or keep_empty_features=False, and fit again",
        )
    return np.asarray(np.isnan(estimator.initial_imputer_.statistics_))


def _predict(
    regressor: Any, columns: Sequence[Var], dtype: np.dtype[Any], name: str, context: Context
) -> Var:
    """What a regressor of one column predicts from `columns`, each `[N, 1]`, as `[N, 1]`."""
    matrix = columns[0] if len(columns) == 1 else op.concat(columns, axis=1)
    answer = context.lower_predictor(regressor, Table.of(matrix, len(columns), dtype), name)
    if not isinstance(answer, Regression):
        raise context.refuse(regressor, "it stands where a regressor is expected")
    return op.reshape(answer.values, constant([-1, 1], np.int64))


def _gaps(estimator: Any, var: Var) -> Var:
    """Where a number is missing: bool, as `var`."""
    if is_missing(estimator.missing_values):
        return op.isnan(var)
    return op.equal(var, constant(float(estimator.missing_values)))


def _column(values: Var, position: int) -> Var:
    return op.gather(values, constant([position], np.int64), axis=1)


def _imputed_table(estimator: Any, X: Table, var: Var, kept: Sequence[int], context: Context) -> Table:
    """The imputed columns, which depend on the whole row, and the indicators of what was missing."""
    dtype = X.number_dtype
    tables = [Table((Block.of(var, len(kept), dtype),))]
    if estimator.add_indicator:
        received = replace(X, blocks=tuple(replace(block, dtype=dtype) for block in X.blocks))
        tables.append(indicate(estimator, received, estimator.indicator_.features_, context))
    return concatenate(tables).joined()
