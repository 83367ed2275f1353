"""Multilayer perceptrons of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Labels, Regression, Table, constant
from afterfit.lowering.sklearn._linear import weighted_sums
from afterfit.lowering.sklearn._links import binary, flat, logistic, most_likely, softmax

if TYPE_CHECKING:
    from collections.abc import Callable

    from spox import Var

    from afterfit.lowering._context import Context

_ACTIVATIONS: dict[str, Callable[[Var], Var]] = {
    "identity": lambda value: value,
    "exp": op.exp,
    "tanh": op.tanh,
    "logistic": logistic,
    "relu": lambda value: op.max([value, constant(0.0)]),
    "softmax": softmax,
}


@lowers("sklearn.neural_network.MLPClassifier")
def lower_mlp_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    answer = _forward(estimator, X, context)
    binarizer = estimator._label_binarizer  # noqa: SLF001 - no public equivalent
    if binarizer.y_type_.startswith("multilabel"):
        if binarizer.sparse_input_:
            raise context.refuse(
                estimator, "it answers with a sparse matrix", "Give y as a dense array and fit again"
            )
        values = op.cast(op.greater(answer, constant(0.5)), to=np.int64)
        return Labels(values, estimator.n_outputs_, np.dtype(np.int64), answer)
    if estimator.n_outputs_ > 1:
        return most_likely(estimator.classes_, answer, answer)
    index = op.cast(op.greater(flat(answer), constant(0.5)), to=np.int64)
    return Classification(estimator.classes_, index, binary(answer))


@lowers("sklearn.neural_network.MLPRegressor")
def lower_mlp_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    answer = _forward(estimator, X, context)
    if estimator.n_outputs_ == 1:
        return Regression(flat(answer))
    return Regression(answer, targets=estimator.n_outputs_)


def _forward(estimator: Any, X: Table, context: Context) -> Var:
    """The output layer `[N, n_outputs]`."""
    layers = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    hidden = _ACTIVATIONS[estimator.activation]
    weights, bias = layers[0]
    value = weighted_sums(estimator, X, weights.T, bias, context)
    for weights, bias in layers[1:]:
        value = op.add(op.matmul(hidden(value), constant(weights)), constant(bias))
    return _ACTIVATIONS[estimator.out_activation_](value)
