"""From the raw scores of a boosted model to what it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant

if TYPE_CHECKING:
    from spox import Var


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
