"""TransformedTargetRegressor: the inverse of what was done to the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, constant

if TYPE_CHECKING:
    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table


@lowers("sklearn.compose.TransformedTargetRegressor")
def lower_transformed_target(estimator: Any, X: Table, context: Context) -> Regression:
    answer = context.lower_predictor(estimator.regressor_, X, "regressor_")
    if isinstance(answer, Classification):
        raise context.refuse(estimator, "it holds a classifier")
    with context.inside("transformer_"):
        inverted = context.invert_answer(estimator.transformer_, answer)
    if estimator._training_dim == 1 and inverted.targets == 1:  # noqa: SLF001 - no public equivalent
        return Regression(op.reshape(inverted.values, constant([-1], np.int64)))
    return inverted
