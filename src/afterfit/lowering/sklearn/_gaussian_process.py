"""Gaussian processes: the mean of the regression, the class and probabilities of the Laplace approximation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, constant
from afterfit.lowering.sklearn._gaussian_process_kernels import KernelLowering
from afterfit.lowering.sklearn._kept_rows import note_cancellation
from afterfit.lowering.sklearn._kernels import require_domain
from afterfit.lowering.sklearn._links import binary, flat
from afterfit.lowering.sklearn._special import erf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_WAY_OUT = "Add noise (alpha=, or a WhiteKernel), or bound the length scales, and fit again"


@lowers("sklearn.gaussian_process.GaussianProcessRegressor")
def lower_gaussian_process_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    if not hasattr(estimator, "X_train_"):
        raise context.refuse(estimator, "it was not fitted and answers from its prior", "Fit it first")
    matrix = _matrix(estimator, X, context)
    weights = np.asarray(estimator.alpha_, dtype=np.float64)
    known = estimator.kernel_(estimator.X_train_, estimator.X_train_)
    spread, mean = estimator._y_train_std, estimator._y_train_mean  # noqa: SLF001 - no public equivalent
    note_cancellation(estimator, known, weights, mean, spread, context, _WAY_OUT)
    kernel = KernelLowering(estimator, matrix, estimator.X_train_, context).values(estimator.kernel_)
    sums = op.matmul(kernel, constant(weights.reshape(len(weights), -1)))
    values = op.add(op.mul(constant(spread), sums), constant(mean))
    targets = 1 if weights.ndim == 1 else weights.shape[1]
    return Regression(flat(values)) if targets == 1 else Regression(values, targets=targets)


@lowers("sklearn.gaussian_process.GaussianProcessClassifier")
def lower_gaussian_process_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    matrix = _matrix(estimator, X, context)
    inner = estimator.base_estimator_
    classes = estimator.classes_
    if len(classes) == 2:
        mean, positive = _binary(estimator, inner, matrix, context)
        index = op.cast(op.greater(flat(mean), constant(0.0)), to=np.int64)
        return Classification(classes, index, binary(positive))
    if estimator.multi_class == "one_vs_one":
        return Classification(classes, _one_against_one(estimator, matrix, context))
    each = op.concat([_binary(estimator, one, matrix, context)[1] for one in inner.estimators_], axis=1)
    total = op.reduce_sum(each, constant([1], np.int64))
    shares = op.where(op.equal(total, constant(0.0)), each, op.div(each, total))
    return Classification(classes, op.arg_max(each, axis=1, keepdims=False), shares)


def _matrix(estimator: Any, X: Table, context: Context) -> Var:
    if X.number_dtype == np.float32:
        context.note_float32_sum(estimator)
    for metric in _pairwise_metrics(estimator.kernel_):
        require_domain(estimator, metric, X, context)
    return context.numbers(estimator, X)


def _pairwise_metrics(kernel: Any) -> Iterator[str]:
    """The metric of every PairwiseKernel in a kernel, which may be composed of others."""
    for each in getattr(kernel, "kernels", [kernel]):
        for part in (each, *each.get_params().values()):
            if type(part).__name__ == "PairwiseKernel":
                yield part.metric


def _binary(estimator: Any, inner: Any, matrix: Var, context: Context) -> tuple[Var, Var]:
    """The latent mean `[N, 1]` of one binary classifier and the probability `[N, 1]` of its second class."""
    from sklearn.gaussian_process._gpc import COEFS, LAMBDAS

    weights = np.asarray(inner.y_train_ - inner.pi_, dtype=np.float64)
    known = inner.kernel_(inner.X_train_, inner.X_train_)
    note_cancellation(estimator, known, weights, 0.0, 1.0, context, _WAY_OUT)
    context.note_rounding(estimator, _rounding(COEFS), _WAY_OUT)
    kernels = KernelLowering(estimator, matrix, inner.X_train_, context)
    kernel = kernels.values(inner.kernel_)
    mean = op.matmul(kernel, constant(weights[:, None]))
    inverse = np.linalg.solve(inner.L_, np.diag(inner.W_sr_))
    explained = op.matmul(kernel, constant(inverse.T))
    explained = op.reduce_sum(op.mul(explained, explained), constant([1], np.int64))
    variance = op.sub(kernels.diagonal(inner.kernel_), explained)
    alpha = op.div(constant(1.0), op.mul(constant(2.0), variance))
    root = op.sqrt(op.div(alpha, op.add(alpha, constant((LAMBDAS**2).T))))
    steps = erf(op.mul(op.mul(mean, constant(LAMBDAS.T)), root))
    outer = op.sqrt(op.div(constant(np.pi), alpha))
    below = op.mul(constant(2.0), op.sqrt(op.mul(variance, constant(2 * np.pi))))
    integrals = op.div(op.mul(outer, steps), below)
    total = op.reduce_sum(op.mul(constant(COEFS.T), integrals), constant([1], np.int64))
    return mean, op.add(total, constant(0.5 * COEFS.sum()))


def _rounding(coefficients: NDArray[np.float64]) -> float:
    """scikit-learn approximates the integral by a sum of terms of up to 3,500 that cancel to at most 1."""
    return float(16 * np.finfo(np.float64).eps * np.abs(coefficients).sum())


def _one_against_one(estimator: Any, matrix: Var, context: Context) -> Var:
    """The index of the class with the most votes of the pairs; their probabilities order classes with equally many."""
    count = len(estimator.classes_)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    votes, confidences = [], []
    for one in estimator.base_estimator_.estimators_:
        mean, positive = _binary(estimator, one, matrix, context)
        votes.append(op.cast(op.greater(mean, constant(0.0)), to=np.float64))
        confidences.append(positive)
    first, second = (np.eye(count)[[pair[side] for pair in pairs]] for side in (0, 1))
    won = op.add(op.matmul(op.concat(votes, axis=1), constant(second - first)), constant(first.sum(axis=0)))
    confidence = op.matmul(op.concat(confidences, axis=1), constant(second - first))
    share = op.div(confidence, op.mul(constant(3.0), op.add(op.abs(confidence), constant(1.0))))
    return op.arg_max(op.add(won, share), axis=1, keepdims=False)
