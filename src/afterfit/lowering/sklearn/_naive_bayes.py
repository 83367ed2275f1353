"""Naive Bayes: a sum of log-probabilities over the columns for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import log_normalized, most_likely, refuse_float32
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Table, constant
from afterfit.lowering.sklearn._linear import weighted_sums

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.naive_bayes.GaussianNB")
def lower_gaussian_nb(estimator: Any, X: Table, context: Context) -> Classification:
    refuse_float32(estimator, X, context, estimator.theta_)
    matrix = context.numbers(estimator, X)
    columns = []
    for mean, variance, prior in zip(estimator.theta_, estimator.var_, estimator.class_prior_, strict=True):
        distance = op.sub(matrix, constant(mean))
        squares = op.div(op.mul(distance, distance), constant(variance))
        spread = -0.5 * np.sum(np.log(2.0 * np.pi * variance))
        halved = op.mul(constant(0.5), op.reduce_sum(squares, constant([1], np.int64)))
        columns.append(op.add(constant(np.log(prior)), op.sub(constant(spread), halved)))
    return _classification(estimator, op.concat(columns, axis=1))


@lowers("sklearn.naive_bayes.MultinomialNB")
def lower_multinomial_nb(estimator: Any, X: Table, context: Context) -> Classification:
    weights, start = estimator.feature_log_prob_, estimator.class_log_prior_
    return _classification(estimator, weighted_sums(estimator, X, weights, start, context))


@lowers("sklearn.naive_bayes.ComplementNB")
def lower_complement_nb(estimator: Any, X: Table, context: Context) -> Classification:
    """The prior of the classes counts only where there is a single one."""
    weights = estimator.feature_log_prob_
    start = estimator.class_log_prior_ if len(weights) == 1 else np.zeros(len(weights))
    return _classification(estimator, weighted_sums(estimator, X, weights, start, context))


@lowers("sklearn.naive_bayes.BernoulliNB")
def lower_bernoulli_nb(estimator: Any, X: Table, context: Context) -> Classification:
    if estimator.binarize is not None:
        threshold = np.asarray(estimator.binarize, dtype=X.number_dtype)

        def binarize(values: Var) -> Var:
            return op.cast(op.greater(values, constant(threshold)), to=np.float64)

        found = X.terms if threshold >= 0 else None
        if found is None:
            X = Table.of(binarize(context.numbers(estimator, X)), X.width)
        else:
            X = X.with_terms(binarize(found.values), np.float64)
    absent = np.log(1 - np.exp(estimator.feature_log_prob_))
    weights = estimator.feature_log_prob_ - absent
    start = estimator.class_log_prior_ + absent.sum(axis=1)
    return _classification(estimator, weighted_sums(estimator, X, weights, start, context))


@lowers("sklearn.naive_bayes.CategoricalNB")
def lower_categorical_nb(estimator: Any, X: Table, context: Context) -> Classification:
    """Each column holds the codes 0, 1, ...; the model raises an error for one it has no room for."""
    matrix = context.numbers(estimator, X)
    sizes = [table.shape[1] for table in estimator.feature_log_prob_]
    for position, size in enumerate(sizes):
        context.learn(X.column(position), [float(code) for code in range(size)], open=False)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    codes = op.cast(matrix, to=np.int64)
    table = np.concatenate([table.T for table in estimator.feature_log_prob_])
    rows = op.gather(constant(table), op.add(codes, constant(starts, np.int64)), axis=0)
    total = op.reduce_sum(rows, constant([1], np.int64), keepdims=False)
    return _classification(estimator, op.add(total, constant(estimator.class_log_prior_)))


def _classification(estimator: Any, joint: Var) -> Classification:
    return most_likely(estimator.classes_, joint, log_normalized(joint))
