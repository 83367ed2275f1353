"""Several targets: one estimator for each, apart or in a chain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, Regression, Table, constant
from afterfit.lowering.sklearn._responses import column, columns, labels

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.multioutput.MultiOutputRegressor")
def lower_multi_output_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    said = [
        labels(part, context.lower_predictor(part, X, f"estimators_[{i}]"), context)
        for i, part in enumerate(estimator.estimators_)
    ]
    return Regression(columns(said), targets=len(said))


@lowers("sklearn.multioutput.RegressorChain")
def lower_regressor_chain(estimator: Any, X: Table, context: Context) -> Regression:
    """Each regressor reads the columns and what those before it said."""
    received = _as_float64(X.joined())
    said: list[Var] = []
    for i, part in enumerate(estimator.estimators_):
        answer = context.lower_predictor(part, received, f"estimators_[{i}]")
        said.append(labels(part, answer, context))
        received = Table((*received.blocks, Block.of(column(said[-1]), 1)), X.sparse)
    order = np.argsort(np.asarray(estimator.order_))
    return Regression(columns([said[i] for i in order]), targets=len(said))


def _as_float64(X: Table) -> Table:
    """The columns beside answers in float64: NumPy makes one array of them."""
    blocks = (b if b.is_text else replace(b, dtype=np.dtype(np.float64)) for b in X.blocks)
    return replace(X, blocks=tuple(blocks))
