"""From raw scores to what a model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import Classification, constant

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table


def logistic(raw: Var) -> Var:
    """`1 / (1 + exp(-raw))`, as SciPy's expit does it.

    The operator Sigmoid of ONNX Runtime takes the difference from 1 below 0, and so loses the probabilities
    smaller than 1e-16.
    """
    return op.div(constant(1.0), op.add(op.exp(op.neg(raw)), constant(1.0)))


def binary(positive: Var) -> Var:
    """Probabilities `[N, 2]` from those of the second class `[N, 1]`."""
    return op.concat([op.sub(constant(1.0), positive), positive], axis=1)


def softmax(raw: Var) -> Var:
    """`exp(raw - max) / sum` over the columns, as scikit-learn does it."""
    columns = constant([1], np.int64)
    exponentials = op.exp(op.sub(raw, op.reduce_max(raw, columns)))
    return op.div(exponentials, op.reduce_sum(exponentials, columns))


def flat(column: Var) -> Var:
    """`[N, 1]` as `[N]`."""
    return op.reshape(column, constant([-1], np.int64))


def log_normalized(joint: Var) -> Var:
    """Probabilities from unnormalised log-probabilities `[N, k]`: `exp(joint - logsumexp(joint))`.

    `logsumexp` is added to the maximum before it is subtracted, as scikit-learn does it: where the maximum is
    large, that rounds, and the probabilities carry the rounding.
    """
    columns = constant([1], np.int64)
    largest = op.reduce_max(joint, columns)
    exponentials = op.exp(op.sub(joint, largest))
    total = op.add(op.log(op.reduce_sum(exponentials, columns)), largest)
    return op.exp(op.sub(joint, total))


def refuse_float32(estimator: Any, X: Table, context: Context, *learned: NDArray[Any]) -> None:
    """Refuse log-probabilities in float32: in the thousands they are rounded by more than probabilities may move."""
    if np.result_type(X.number_dtype, *learned) == np.float32:
        raise context.refuse(
            estimator,
            "it adds up log-probabilities in float32, whose rounding shows in the probabilities",
            "Convert the columns to float64 before fitting",
        )


def most_likely(classes: NDArray[Any], joint: Var, probabilities: Var) -> Classification:
    """The classifier whose label is the class with the largest of `joint` `[N, k]`."""
    index = op.arg_max(joint, axis=1, keepdims=False)
    return Classification(np.asarray(classes), index, probabilities)


def inlier_or_outlier(scores: Var, inlier: Var) -> Classification:
    """An outlier detector: 1 where `inlier` bool `[N]`, otherwise -1."""
    return Classification(np.array([-1, 1]), op.cast(inlier, to=np.int64), scores=scores)
