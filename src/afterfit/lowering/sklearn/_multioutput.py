"""Several targets: one estimator for each, apart or in a chain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, Classification, Labels, Regression, Table
from afterfit.lowering.sklearn._responses import (
    column,
    columns,
    labels,
    probabilities,
    respond,
    second_column,
)

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering.sklearn._responses import Answer


@lowers("sklearn.multioutput.MultiOutputRegressor")
def lower_multi_output_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    said = [
        labels(part, context.lower_predictor(part, X, f"estimators_[{i}]"), context)
        for i, part in enumerate(estimator.estimators_)
    ]
    return Regression(columns(said), targets=len(said))


@lowers("sklearn.multioutput.MultiOutputClassifier")
def lower_multi_output_classifier(estimator: Any, X: Table, context: Context) -> Labels:
    """One label a target; its predict_proba is a list of matrices, which a graph's outputs do not hold."""
    return Labels.of(
        [
            _classifier(part, context.lower_predictor(part, X, f"estimators_[{i}]"), context)
            for i, part in enumerate(estimator.estimators_)
        ]
    )


@lowers("sklearn.multioutput.ClassifierChain")
def lower_classifier_chain(estimator: Any, X: Table, context: Context) -> Labels:
    """Each classifier reads the columns and what those before it said; labels come as float64."""
    method = getattr(estimator, "chain_method_", "predict")
    received = _as_float64(X.joined())
    answers = []
    for i, part in enumerate(estimator.estimators_):
        answer = context.lower_predictor(part, received, f"estimators_[{i}]")
        answers.append(_classifier(part, answer, context))
        _, said = respond(part, answer, [method], context)
        said = second_column(said) if method == "predict_proba" else said
        received = Table((*received.blocks, Block.of(column(said), 1)), X.sparse)
    order = np.argsort(np.asarray(estimator.order_)).tolist()
    shares = None
    if hasattr(estimator, "predict_proba"):
        parts = [(estimator.estimators_[i], answers[i]) for i in order]
        shares = columns([second_column(probabilities(part, answer, context)) for part, answer in parts])
    return Labels.of([answers[i] for i in order], np.float64, shares)


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


def _classifier(part: Any, answer: Answer, context: Context) -> Classification:
    if isinstance(answer, Regression):
        raise context.refuse(part, "it is a regressor where a classifier is expected")
    return answer


def _as_float64(X: Table) -> Table:
    """The columns beside answers in float64: NumPy makes one array of them."""
    blocks = (b if b.is_text else replace(b, dtype=np.dtype(np.float64)) for b in X.blocks)
    return replace(X, blocks=tuple(blocks))
