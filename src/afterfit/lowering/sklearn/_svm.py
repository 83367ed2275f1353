"""Support vector machines of libsvm: a sum over support vectors for each pair of classes, and votes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import flat, inlier_or_outlier
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, constant
from afterfit.lowering.sklearn._kept_rows import dense_rows, note_cancellation, scaled_squares
from afterfit.lowering.sklearn._kernels import pairwise_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_WAY_OUT = "Scale the columns, or use a smaller C, and fit again"
_SMALLEST_PAIRWISE = 1e-7
_ITERATIONS = 100
_FIRST = 3
_GROUP = 10
_TOLERANCE = 0.005


@lowers("sklearn.svm.SVR", "sklearn.svm.NuSVR")
def lower_svm_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    return Regression(flat(_decisions(estimator, X, dense_rows(estimator._dual_coef_), context)))


@lowers("sklearn.svm.OneClassSVM")
def lower_one_class_svm(estimator: Any, X: Table, context: Context) -> Classification:
    scores = flat(_decisions(estimator, X, dense_rows(estimator._dual_coef_), context))
    return inlier_or_outlier(scores, op.greater(scores, constant(0.0)))


@lowers("sklearn.svm.SVC", "sklearn.svm.NuSVC")
def lower_svm_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    count = len(estimator.classes_)
    pairs = list(combinations(range(count), 2))
    decisions = _decisions(estimator, X, _pair_weights(estimator, pairs), context)
    shares = _shares(decisions, pairs, count)
    scores, columns = decisions, len(pairs)
    if count == 2:
        scores = flat(op.neg(decisions))
    elif estimator.decision_function_shape == "ovr":
        scores, columns = shares, count
    if estimator.break_ties and estimator.decision_function_shape == "ovr" and count > 2:
        index = op.arg_max(shares, axis=1, keepdims=False)
    else:
        index = op.arg_max(_votes(decisions, pairs, count, op.greater), axis=1, keepdims=False)
    if getattr(estimator, "probability", False) is True:
        return Classification(estimator.classes_, index, _coupled(estimator, decisions, pairs, count))
    return Classification(estimator.classes_, index, scores=scores, score_columns=columns)


def _decisions(estimator: Any, X: Table, weights: NDArray[np.float64], context: Context) -> Var:
    """The decision values `[N, pairs]` as libsvm has them.

    The public attributes have another sign for two classes than those that scikit-learn hands to libsvm.
    """
    kernel = estimator.kernel
    if callable(kernel) or kernel == "precomputed":
        what = "a Python function" if callable(kernel) else "'precomputed'"
        raise context.refuse(
            estimator,
            f"its kernel is {what}, so that it reads something else than rows of columns",
            "Use kernel='linear', 'poly', 'rbf' or 'sigmoid' and fit again",
        )
    vectors = dense_rows(estimator.support_vectors_)
    matrix = context.numbers(estimator, X)
    shift = np.ravel(estimator._intercept_)
    gamma = float(estimator._gamma)  # noqa: SLF001 - no public equivalent
    params = {"gamma": gamma, "coef0": estimator.coef0, "degree": estimator.degree}
    if len(vectors) == 0:
        return op.add(op.matmul(matrix, constant(np.zeros((X.width, len(shift))))), constant(shift))
    _note_cancellation(estimator, kernel, vectors, weights, shift, params, context)
    if kernel == "rbf":
        values = op.exp(op.neg(scaled_squares(matrix, vectors, gamma)))
    else:
        values = pairwise_kernel(kernel, matrix, vectors, params)
    return op.add(op.matmul(values, constant(weights.T)), constant(shift))


def _note_cancellation(
    estimator: Any,
    kernel: str,
    vectors: NDArray[np.float64],
    weights: NDArray[np.float64],
    shift: NDArray[np.float64],
    params: dict[str, Any],
    context: Context,
) -> None:
    from sklearn.metrics.pairwise import pairwise_kernels

    rows = vectors[:: max(1, len(vectors) // 1000)]
    known = pairwise_kernels(rows, vectors, metric=kernel, filter_params=True, **params)
    note_cancellation(estimator, known, weights.T, shift, 1.0, context, _WAY_OUT)


def _pair_weights(estimator: Any, pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """The weight of each support vector in the decision for each pair of classes, `[pairs, m]`."""
    coefficients = dense_rows(estimator._dual_coef_)
    ends = np.cumsum(estimator.n_support_)
    held = [slice(end - size, end) for end, size in zip(ends, estimator.n_support_, strict=True)]
    weights = np.zeros((len(pairs), coefficients.shape[1]))
    for row, (first, second) in zip(weights, pairs, strict=True):
        row[held[first]] = coefficients[second - 1, held[first]]
        row[held[second]] = coefficients[first, held[second]]
    return weights


def _sides(pairs: Sequence[tuple[int, int]], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Which class is the first and which the second of each pair, each `[pairs, count]`."""
    identity = np.eye(count)
    return identity[[first for first, _ in pairs]], identity[[second for _, second in pairs]]


def _votes(decisions: Var, pairs: Sequence[tuple[int, int]], count: int, wins: Any) -> Var:
    """How many pairs each class wins, `[N, count]`: the first of a pair where its decision `wins` over 0."""
    first, second = _sides(pairs, count)
    won = op.cast(wins(decisions, constant(0.0)), to=np.float64)
    return op.add(op.matmul(won, constant(first - second)), constant(second.sum(axis=0)))


def _shares(decisions: Var, pairs: Sequence[tuple[int, int]], count: int) -> Var:
    """Votes, with a share below a half that orders classes with equally many: `decision_function_shape='ovr'`."""
    first, second = _sides(pairs, count)
    confidence = op.matmul(decisions, constant(first - second))
    share = op.div(confidence, op.mul(constant(3.0), op.add(op.abs(confidence), constant(1.0))))
    return op.add(_votes(decisions, pairs, count, op.greater_or_equal), share)


def _coupled(estimator: Any, decisions: Var, pairs: Sequence[tuple[int, int]], count: int) -> Var:
    """Probabilities `[N, count]`: a logistic function for each pair, coupled by the iteration of Wu, Lin and Weng."""
    odds = op.add(op.mul(decisions, constant(estimator.probA_)), constant(estimator.probB_))
    falling = op.exp(op.neg(op.abs(odds)))
    total = op.add(constant(1.0), falling)
    pairwise = op.where(
        op.greater_or_equal(odds, constant(0.0)), op.div(falling, total), op.div(constant(1.0), total)
    )
    pairwise = op.clip(pairwise, constant(_SMALLEST_PAIRWISE), constant(1 - _SMALLEST_PAIRWISE))
    place = {pair: i for i, pair in enumerate(pairs)}
    zero = op.mul(op.gather(pairwise, constant([0], np.int64), axis=1), constant(0.0))
    either = op.concat([pairwise, op.sub(constant(1.0), pairwise), zero], axis=1)
    order = [
        place[i, j] if i < j else len(pairs) + place[j, i] if i > j else 2 * len(pairs)
        for i in range(count)
        for j in range(count)
    ]
    won = op.reshape(
        op.gather(either, constant(order, np.int64), axis=1), constant([-1, count, count], np.int64)
    )
    lost = op.transpose(won, perm=[0, 2, 1])
    diagonal = op.reduce_sum(op.mul(lost, lost), constant([2], np.int64), keepdims=False)
    matrix = op.sub(op.mul(op.unsqueeze(diagonal, _axis(2)), constant(np.eye(count))), op.mul(won, lost))
    start = op.add(zero, constant(np.full((1, count), 1 / count)))
    return _iterate(_Coupling.of(matrix, diagonal, count), start)


@dataclass(frozen=True, slots=True)
class _Coupling:
    """The quadratic form `matrix` `[N, k, k]` whose least value on the simplex is sought, coordinate by coordinate.

    `steps`: for each coordinate what a step of 1 adds to products and estimate `[N, 2k]`, and its diagonal `[N, 1]`.
    """

    matrix: Var
    steps: tuple[tuple[Var, Var], ...]
    count: int

    @staticmethod
    def of(matrix: Var, diagonal: Var, count: int) -> _Coupling:
        rows = op.concat([op.shape(diagonal, start=0, end=1), constant([count, count], np.int64)], axis=0)
        gains = op.concat([matrix, op.expand(constant(np.eye(count)), rows)], axis=2)
        parts = op.split(gains, axis=1, num_outputs=count)
        own = op.split(diagonal, axis=1, num_outputs=count)
        steps = [(op.squeeze(part, _axis(1)), value) for part, value in zip(parts, own, strict=True)]
        return _Coupling(matrix, tuple(steps), count)

    def advance(self, estimate: Var, going: Var) -> tuple[Var, Var]:
        """One round of the rows of bool `[N, 1]` that are `going`: the estimate `[N, k]` after it, and which go on.

        libsvm divides by the sum after each coordinate; here the sum is carried along, and divided by at the end.
        """
        products = op.squeeze(op.matmul(self.matrix, op.unsqueeze(estimate, _axis(2))), _axis(2))
        form = op.reduce_sum(op.mul(estimate, products), constant([1], np.int64))
        error = op.reduce_max(op.abs(op.sub(products, form)), constant([1], np.int64))
        going = op.and_(going, op.greater_or_equal(error, constant(_TOLERANCE / self.count)))
        state = op.concat([products, estimate], axis=1)
        total, wanted = constant([[1.0]]), form
        for t, (gain, own) in enumerate(self.steps):
            product = op.gather(state, _axis(t), axis=1)
            change = op.div(op.sub(wanted, product), own)
            state = op.add(state, op.mul(change, gain))
            total = op.add(total, change)
            if t + 1 < self.count:
                wanted = op.add(wanted, op.div(op.mul(change, product), total))
        moved = op.gather(state, constant(np.arange(self.count, 2 * self.count), np.int64), axis=1)
        moved = op.div(moved, total)
        return op.where(going, moved, estimate), going


def _iterate(coupling: _Coupling, start: Var) -> Var:
    """Gauss-Seidel rounds from `start` `[N, count]`, each row until it has converged, as libsvm does it.

    Most rows converge within the first rounds, which stand one in another. The others run in groups, since a group
    in which nothing is left to do costs no more than a single round.
    """

    def group(estimate: Var, going: Var) -> tuple[Var, ...]:
        return _repeat_while_going(coupling.advance, estimate, going, coupling.count, _GROUP)

    def rest(estimate: Var, going: Var) -> tuple[Var, ...]:
        groups = -(-(max(_ITERATIONS, coupling.count) - _FIRST) // _GROUP)
        return _repeat_while_going(group, estimate, going, coupling.count, groups)

    def go_on(estimate: Var, going: Var, nested: int) -> tuple[Var, ...]:
        change = rest if nested == 0 else partial(one_more, nested=nested)
        return tuple(
            op.if_(
                _some(going),
                then_branch=lambda: change(estimate, going),
                else_branch=lambda: (op.identity(estimate), op.identity(going)),
            )
        )

    def one_more(estimate: Var, going: Var, nested: int) -> tuple[Var, ...]:
        return go_on(*coupling.advance(estimate, going), nested - 1)

    first = op.gather(start, constant([0], np.int64), axis=1)
    estimate, _ = one_more(start, op.cast(first, to=np.bool_), _FIRST)
    return op.reshape(estimate, constant([-1, coupling.count], np.int64))


def _some(going: Var) -> Var:
    return op.cast(op.reduce_max(op.cast(going, to=np.int64), keepdims=False), to=np.bool_)


def _repeat_while_going(
    change: Callable[[Var, Var], tuple[Var, ...]], estimate: Var, going: Var, count: int, times: int
) -> tuple[Var, ...]:
    """`change` the `estimate` `[N, count]` up to so many `times`, while a row of bool `[N, 1]` is `going`."""
    shapes = constant([-1, count], np.int64), constant([-1, 1], np.int64)

    def step(unused: Var, estimate: Var, going: Var, _: Var) -> list[Var]:
        estimate, going = op.reshape(estimate, shapes[0]), op.reshape(going, shapes[1])
        changed = op.if_(
            _some(going),
            then_branch=lambda: change(estimate, going),
            else_branch=lambda: (op.identity(estimate), op.identity(going)),
        )
        return [op.identity(unused), *changed]

    # spox takes the states for the scanned inputs when it types the body: the first must be a scalar, and the
    # others have no shape there, about which it warns.
    states = [constant(0.0), estimate, going, constant(np.zeros(times))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Output type for variable arg")
        _, estimate, going = op.scan(states, body=step, num_scan_inputs=1)
    return op.reshape(estimate, shapes[0]), op.reshape(going, shapes[1])


def _axis(number: int) -> Var:
    return constant([number], np.int64)
