"""Dummy estimators: the same answer for every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import (
    Classification,
    Labels,
    OneHot,
    Regression,
    Table,
    constant,
    label_values,
)

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.dummy.DummyClassifier")
def lower_dummy_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    if estimator.strategy not in ("prior", "most_frequent", "constant"):
        raise context.refuse(
            estimator,
            f"it answers at random (strategy={estimator.strategy!r})",
            "Use strategy='prior', 'most_frequent' or 'constant' and fit again",
        )
    # The estimator ignores the values of X; asked about one row, it says what it says about all of them.
    anywhere = np.zeros((1, 1))
    if estimator.n_outputs_ > 1:
        return _constant_labels(estimator, estimator.predict(anywhere), X, context)
    label = int(np.flatnonzero(estimator.classes_ == estimator.predict(anywhere)[0])[0])
    rows = _count_rows(estimator, X, context)
    return Classification(
        estimator.classes_,
        op.expand(constant(label, np.int64), rows),
        _repeat(estimator.predict_proba(anywhere)[0], rows),
    )


def _constant_labels(estimator: Any, row: Any, X: Table, context: Context) -> Labels:
    if hasattr(row, "toarray"):
        raise context.refuse(
            estimator, "it answers with a sparse matrix", "Give y as a dense array and fit again"
        )
    labels = np.asarray(row)
    shape = op.concat([_count_rows(estimator, X, context), constant([1], np.int64)], axis=0)
    return Labels(
        op.expand(op.constant(value=label_values(labels)), shape), estimator.n_outputs_, labels.dtype
    )


@lowers("sklearn.dummy.DummyRegressor")
def lower_dummy_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    rows = _count_rows(estimator, X, context)
    values = np.ravel(estimator.constant_)
    if estimator.n_outputs_ == 1:
        return Regression(op.expand(constant(values), rows))
    return Regression(_repeat(values, rows), targets=estimator.n_outputs_)


def _count_rows(estimator: Any, X: Table, context: Context) -> Var:
    """The number of rows, int64 `[1]`: the one thing that a dummy needs to know, read off the first column."""
    block = context.readable_block(estimator, X)
    if isinstance(block.source, OneHot):
        return op.shape(context.read_index(estimator, block.select([0]), block.source))
    return op.shape(context.read_block(estimator, block.select([0])), start=0, end=1)


def _repeat(row: Any, rows: Var) -> Var:
    """`row` `[k]` for each of the rows, `[N, k]`."""
    return op.expand(constant([row]), op.concat([rows, constant([1], np.int64)], axis=0))
