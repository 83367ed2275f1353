"""Bagging and AdaBoost: many estimators of one kind, on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import softmax
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, constant
from afterfit.lowering.sklearn._responses import columns, labels, probabilities, scores, total

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering.sklearn._responses import Answer


@lowers("sklearn.ensemble.BaggingClassifier")
def lower_bagging_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    """The mean of the probabilities, or of the votes of those that have none."""
    parts = _lower_bagged(estimator, X, context)
    count = constant(float(estimator.n_estimators))
    mean = op.div(total([_shares(estimator, part, answer, context) for part, answer in parts]), count)
    decisions = None
    if all(isinstance(answer, Classification) and answer.scores is not None for _, answer in parts):
        decisions = op.div(total([scores(part, answer, context) for part, answer in parts]), count)
    return Classification(estimator.classes_, op.arg_max(mean, axis=1, keepdims=False), mean, decisions)


@lowers("sklearn.ensemble.BaggingRegressor")
def lower_bagging_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The mean of what the regressors say."""
    parts = _lower_bagged(estimator, X, context)
    targets = _targets(parts)
    mean = op.div(
        total([labels(part, answer, context) for part, answer in parts]),
        constant(float(estimator.n_estimators)),
    )
    return Regression(mean, targets)


@lowers("sklearn.ensemble.AdaBoostClassifier")
def lower_ada_boost_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    """The sum of weighted votes; `SAMME.R` of older releases adds up logarithms of probabilities instead."""
    classes = np.asarray(estimator.classes_)
    if len(classes) == 1:
        raise context.refuse(
            estimator, "it learned one class only", "Fit it on labels of at least two classes"
        )
    parts = _lower_boosted(estimator, X, context)
    if getattr(estimator, "algorithm", None) == "SAMME.R":
        terms = [_log_odds(part, answer, len(classes), context) for part, answer in parts]
    else:
        terms = [
            op.gather(constant(_votes(answer, classes, weight)), answer.index, axis=0)
            for (_, answer), weight in zip(parts, estimator.estimator_weights_, strict=False)
            if isinstance(answer, Classification)
        ]
    raw = op.div(total(terms), constant(estimator.estimator_weights_.sum()))
    if len(classes) > 2:
        index = op.arg_max(raw, axis=1, keepdims=False)
        return Classification(classes, index, softmax(op.div(raw, constant(len(classes) - 1.0))), raw)
    signed = op.mul(raw, constant([-1.0, 1.0]))
    decision = op.reduce_sum(signed, constant([1], np.int64), keepdims=False)
    index = op.cast(op.greater(decision, constant(0.0)), to=np.int64)
    halves = op.div(columns([op.neg(decision), decision]), constant(2.0))
    return Classification(classes, index, softmax(halves), decision)


@lowers("sklearn.ensemble.AdaBoostRegressor")
def lower_ada_boost_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The weighted median of what the regressors say."""
    parts = _lower_boosted(estimator, X, context)
    said = columns([labels(part, answer, context) for part, answer in parts])
    ordered, places = op.top_k(said, constant([len(parts)], np.int64), axis=1, largest=0)
    weights = constant(np.asarray(estimator.estimator_weights_)[: len(parts)])
    reached = op.cumsum(op.gather(weights, places), constant(1, np.int64))
    whole = op.gather(reached, constant([len(parts) - 1], np.int64), axis=1)
    above = op.greater_or_equal(reached, op.mul(constant(0.5), whole))
    median = op.arg_max(op.cast(above, to=np.int64), axis=1, keepdims=True)
    return Regression(op.reshape(op.gather_elements(ordered, median, axis=1), constant([-1], np.int64)))


def _lower_bagged(estimator: Any, X: Table, context: Context) -> list[tuple[Any, Answer]]:
    """Each estimator with its answer on the columns drawn for it."""
    X = X.joined()
    everything = list(range(X.width))
    parts = []
    for i, part in enumerate(estimator.estimators_):
        drawn = np.asarray(estimator.estimators_features_[i]).tolist()
        received = X if drawn == everything else X.select(drawn)
        parts.append((part, context.lower_predictor(part, received, f"estimators_[{i}]")))
    return parts


def _lower_boosted(estimator: Any, X: Table, context: Context) -> list[tuple[Any, Answer]]:
    X = X.joined()
    return [
        (part, context.lower_predictor(part, X, f"estimators_[{i}]"))
        for i, part in enumerate(estimator.estimators_)
    ]


def _targets(parts: list[tuple[Any, Answer]]) -> int | None:
    answer = parts[0][1]
    return answer.targets if isinstance(answer, Regression) else None


def _shares(estimator: Any, part: Any, answer: Answer, context: Context) -> Var:
    """What one estimator adds to each class `[N, k]`; it learned some of the classes, by their positions."""
    if isinstance(answer, Regression):
        raise context.refuse(part, "it is a regressor where a classifier is expected")
    known = np.eye(len(estimator.classes_))[np.asarray(answer.classes)]
    if not hasattr(part, "predict_proba"):
        return op.gather(constant(known), answer.index, axis=0)
    shares = probabilities(part, answer, context)
    return shares if len(known) == len(estimator.classes_) else op.matmul(shares, constant(known))


def _votes(answer: Classification, classes: Any, weight: float) -> Any:
    """For each label the estimator may give, what it adds to each class `[labels, k]`."""
    same = np.asarray(answer.classes)[:, np.newaxis] == classes
    return np.where(same, weight, -1 / (len(classes) - 1) * weight)


def _log_odds(part: Any, answer: Answer, classes: int, context: Context) -> Var:
    shares = op.max([probabilities(part, answer, context), constant(np.finfo(np.float64).eps)])
    logarithms = op.log(shares)
    mean = op.mul(constant(1.0 / classes), op.reduce_sum(logarithms, constant([1], np.int64)))
    return op.mul(constant(classes - 1.0), op.sub(logarithms, mean))
