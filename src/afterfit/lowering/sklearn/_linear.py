"""Linear models: a sum of products and what each makes of it."""

from __future__ import annotations

import copy
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, Classification, Labels, OneHot, Regression, Table, constant

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context


@lowers(
    "sklearn.linear_model.LinearRegression",
    "sklearn.linear_model.Ridge",
    "sklearn.linear_model.RidgeCV",
    "sklearn.linear_model.Lasso",
    "sklearn.linear_model.LassoCV",
    "sklearn.linear_model.ElasticNet",
    "sklearn.linear_model.ElasticNetCV",
    "sklearn.linear_model.MultiTaskLasso",
    "sklearn.linear_model.MultiTaskLassoCV",
    "sklearn.linear_model.MultiTaskElasticNet",
    "sklearn.linear_model.MultiTaskElasticNetCV",
    "sklearn.linear_model.SGDRegressor",
    "sklearn.linear_model.PassiveAggressiveRegressor",
    "sklearn.linear_model.HuberRegressor",
    "sklearn.linear_model.TheilSenRegressor",
    "sklearn.linear_model.QuantileRegressor",
    "sklearn.linear_model.ARDRegression",
    "sklearn.linear_model.BayesianRidge",
    "sklearn.linear_model.Lars",
    "sklearn.linear_model.LarsCV",
    "sklearn.linear_model.LassoLars",
    "sklearn.linear_model.LassoLarsCV",
    "sklearn.linear_model.LassoLarsIC",
    "sklearn.linear_model.OrthogonalMatchingPursuit",
    "sklearn.linear_model.OrthogonalMatchingPursuitCV",
    "sklearn.svm.LinearSVR",
)
def lower_linear_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    coefficients = _dense(estimator.coef_)
    values = weighted_sums(estimator, X, coefficients, estimator.intercept_, context)
    if coefficients.ndim == 1:
        return Regression(_flat(values))
    return Regression(values, targets=len(coefficients))


@lowers("sklearn.linear_model.LogisticRegression", "sklearn.linear_model.LogisticRegressionCV")
def lower_logistic_regression(estimator: Any, X: Table, context: Context) -> Classification:
    scores = _scores(estimator, X, context)
    if _one_against_rest(estimator):
        probabilities = _logistic(estimator, scores)
    elif len(estimator.classes_) == 2:
        probabilities = op.softmax(op.concat([op.neg(scores), scores], axis=1), axis=1)
    else:
        probabilities = op.softmax(scores, axis=1)
    return _classification(estimator, scores, probabilities)


@lowers("sklearn.linear_model.SGDClassifier")
def lower_sgd_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    scores = _scores(estimator, X, context)
    if estimator.loss == "log_loss":
        return _classification(estimator, scores, _logistic(estimator, scores))
    if estimator.loss == "modified_huber":
        clipped = op.max([op.min([scores, constant(1.0)]), constant(-1.0)])
        positive = op.div(op.add(clipped, constant(1.0)), constant(2.0))
        return _classification(
            estimator, scores, _normalized(positive, len(estimator.classes_), uniform=True)
        )
    return _classification(estimator, scores, None)


@lowers(
    "sklearn.svm.LinearSVC",
    "sklearn.linear_model.Perceptron",
    "sklearn.linear_model.PassiveAggressiveClassifier",
)
def lower_linear_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    return _classification(estimator, _scores(estimator, X, context), None)


@lowers("sklearn.linear_model.RidgeClassifier", "sklearn.linear_model.RidgeClassifierCV")
def lower_ridge_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    if not estimator._label_binarizer.y_type_.startswith("multilabel"):  # noqa: SLF001 - no public equivalent
        return lower_linear_classifier(estimator, X, context)
    scores = _scores(estimator, X, context)
    values = op.cast(op.greater(scores, constant(0.0)), to=np.int64)
    return Labels(values, len(estimator.coef_), np.dtype(np.int64))


def weighted_sums(
    estimator: Any, X: Table, coefficients: NDArray[Any], intercept: Any, context: Context
) -> Var:
    """`X @ coefficients.T + intercept` `[N, k]`, with the coefficients of one-hot columns gathered."""
    if X.width == 0:
        raise context.refuse(estimator, "it receives no columns", "Select at least one column")
    weights = np.atleast_2d(coefficients)
    if X.number_dtype == np.float32 and weights.dtype == np.float32:
        context.note_float32_sum(estimator)
    dense: list[Block] = []
    dense_columns: list[int] = []
    terms: list[Var] = []
    start = 0
    for block in X.blocks:
        columns = range(start, start + block.width)
        start += block.width
        if isinstance(block.source, OneHot):
            rows = np.zeros((block.source_width + 1, len(weights)))
            np.add.at(rows, list(block.picks), weights[:, columns].T)
            terms.append(
                op.gather(constant(rows), context.read_index(estimator, block, block.source), axis=0)
            )
        else:
            dense.append(block)
            dense_columns.extend(columns)
    if dense:
        matrix = context.numbers(estimator, Table(tuple(dense)))
        terms.insert(0, op.matmul(matrix, constant(weights[:, np.array(dense_columns)].T)))
    total = terms[0] if len(terms) == 1 else op.sum(terms)
    return op.add(total, constant(np.broadcast_to(np.ravel(intercept), (len(weights),))))


def _scores(estimator: Any, X: Table, context: Context) -> Var:
    return weighted_sums(estimator, X, _dense(estimator.coef_), estimator.intercept_, context)


def _classification(estimator: Any, scores: Var, probabilities: Var | None) -> Classification:
    """The classifier with scores `[N, 1]` for two classes, where above 0 means the second, or `[N, k]`."""
    classes = np.asarray(estimator.classes_)
    if len(classes) == 2:
        scores = _flat(scores)
        index = op.cast(op.greater(scores, constant(0.0)), to=np.int64)
    else:
        index = op.arg_max(scores, axis=1, keepdims=False)
    return Classification(classes, index, probabilities, scores)


def _logistic(estimator: Any, scores: Var) -> Var:
    """Probabilities from one logistic function a class, 1 / (1 + exp(-x)) as SciPy has it.

    ONNX Runtime's Sigmoid is 0 where this is 1e-80, which matters where every class is that unlikely.
    """
    positive = op.div(constant(1.0), op.add(constant(1.0), op.exp(op.neg(scores))))
    return _normalized(positive, len(estimator.classes_), uniform=_zero_rows_are_uniform())


def _normalized(positive: Var, classes: int, *, uniform: bool) -> Var:
    """Probabilities `[N, k]` from that of the second class `[N, 1]`, or from each class against the rest.

    `uniform`: where every class has 0, all get the same probability; otherwise NaN.
    """
    if classes == 2:
        return op.concat([op.sub(constant(1.0), positive), positive], axis=1)
    total = op.reduce_sum(positive, constant([1], np.int64))
    shares = op.div(positive, total)
    return op.where(op.equal(total, constant(0.0)), constant(1.0 / classes), shares) if uniform else shares


@cache
def _zero_rows_are_uniform() -> bool:
    """Whether the installed scikit-learn shares equally where every class has 0; older releases give NaN."""
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(loss="log_loss")
    model.classes_, model.n_features_in_ = np.arange(3), 1
    model.coef_, model.intercept_ = np.zeros((3, 1)), np.full(3, -1e4)
    with np.errstate(all="ignore"):
        return bool(np.isfinite(model.predict_proba(np.zeros((1, 1)))).all())


def _one_against_rest(estimator: Any) -> bool:
    """Whether probabilities come from one logistic function a class; older releases let people choose.

    Which solvers do so has changed between releases too, so the estimator itself is asked.
    """
    chosen = getattr(estimator, "multi_class", "deprecated")
    if chosen not in ("auto", "deprecated"):
        return bool(chosen in ("ovr", "warn"))
    count, width = len(estimator.classes_), estimator.coef_.shape[1]
    if count <= 2:
        return True
    asked = copy.copy(estimator)
    asked.coef_, asked.intercept_ = np.zeros((count, width)), np.arange(float(count))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = asked.predict_proba(np.zeros((1, width)))
    each = 1 / (1 + np.exp(-asked.intercept_))
    return bool(np.allclose(shares, each / each.sum()))


def _dense(coefficients: Any) -> NDArray[Any]:
    """Coefficients as an array, also after `sparsify()`."""
    return np.asarray(coefficients.toarray() if hasattr(coefficients, "toarray") else coefficients)


def _flat(values: Var) -> Var:
    return op.reshape(values, constant([-1], np.int64))
