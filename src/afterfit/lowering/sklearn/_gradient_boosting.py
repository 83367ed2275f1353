"""GradientBoosting: trees scaled by the learning rate, on top of what an initial estimator says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import binary, flat, logistic, softmax
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, constant, round_to_float32
from afterfit.lowering._tree_ensemble import sum_leaves
from afterfit.lowering.sklearn._trees import read_trees

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_CONSTANT_STRATEGIES = ("prior", "most_frequent", "constant", "mean", "median", "quantile")


@lowers("sklearn.ensemble.GradientBoostingClassifier")
def lower_gradient_boosting_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    """The logistic function of the sum, or the softmax of the sums for three classes and more."""
    raw = _raw(estimator, X, context)
    if estimator.n_classes_ > 2:
        index = op.arg_max(raw, axis=1, keepdims=False)
        return Classification(estimator.classes_, index, softmax(raw), raw)
    index = op.cast(flat(op.greater_or_equal(raw, constant(0.0))), to=np.int64)
    halved = estimator.loss == "exponential"
    positive = logistic(op.mul(raw, constant(2.0)) if halved else raw)
    return Classification(estimator.classes_, index, binary(positive), flat(raw))


@lowers("sklearn.ensemble.GradientBoostingRegressor")
def lower_gradient_boosting_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The sum itself, whatever the loss."""
    return Regression(flat(_raw(estimator, X, context)))


def _raw(estimator: Any, X: Table, context: Context) -> Var:
    """The raw scores `[N, k]`, one for each tree of a stage."""
    fitted = [tree.tree_ for tree in estimator.estimators_.ravel()]
    matrix, trees = read_trees(estimator, fitted, X, context)
    values = estimator.learning_rate * np.concatenate([tree.value[:, 0, 0] for tree in fitted])
    stages = estimator.estimators_.shape[1]
    start = _constant_start(estimator, stages, context)
    if start is not None:
        return sum_leaves(matrix, X.width, trees, values, start=start)
    sums = sum_leaves(matrix, X.width, trees, values, start=np.zeros(stages))
    return op.add(_computed_start(estimator, matrix, X, context), sums)


def _constant_start(estimator: Any, stages: int, context: Context) -> NDArray[np.float64] | None:
    """What the sums begin with where that is the same for every row; None where it is not."""
    init = estimator.init_
    if isinstance(init, str):
        return np.zeros(stages)
    if type(init).__module__ != "sklearn.dummy":
        return None
    if init.strategy not in _CONSTANT_STRATEGIES:
        raise context.refuse(
            estimator,
            f"its init estimator answers at random (strategy={init.strategy!r})",
            "Use strategy='prior' in the init estimator and fit again",
        )
    # Asking the estimator itself, at any point, gives the very bits that it begins its sums with.
    anywhere = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    start: NDArray[np.float64] = estimator._raw_predict_init(anywhere)[0]  # noqa: SLF001 - no public equivalent
    return start


def _computed_start(estimator: Any, matrix: Var, X: Table, context: Context) -> Var:
    """What a fitted init estimator says of the columns, rounded to float32, on the scale of raw scores."""
    rounded = Table.of(round_to_float32(matrix), X.width, np.float32, X.origins)
    answer = context.lower_predictor(estimator.init_, rounded, "init")
    if isinstance(answer, Regression):
        return op.reshape(answer.values, constant([-1, 1], np.int64))
    if answer.probabilities is None:
        raise context.refuse(estimator.init_, "it is an init estimator without predict_proba")
    tiny = np.finfo(np.float64).eps
    clipped = op.clip(answer.probabilities, constant(tiny), constant(1 - tiny))
    if estimator.n_classes_ > 2:
        logarithms = op.log(clipped)
        return op.sub(logarithms, op.reduce_mean(logarithms, constant([1], np.int64)))
    positive = op.gather(clipped, constant([1], np.int64), axis=1)
    logit = op.log(op.div(positive, op.sub(constant(1.0), positive)))
    return op.mul(logit, constant(0.5)) if estimator.loss == "exponential" else logit
