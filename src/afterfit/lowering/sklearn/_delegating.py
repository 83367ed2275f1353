"""Estimators that hand the rows to one fitted estimator: searches, frozen ones, decision thresholds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers, transforms
from afterfit.lowering._table import Classification, Lowered, constant
from afterfit.lowering.sklearn._responses import respond, second_column

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table

_METHODS = {
    "auto": ("predict_proba", "decision_function"),
    "predict_proba": ("predict_proba",),
    "decision_function": ("decision_function",),
}


_SEARCHES = (
    "sklearn.model_selection.GridSearchCV",
    "sklearn.model_selection.RandomizedSearchCV",
    "sklearn.model_selection.HalvingGridSearchCV",
    "sklearn.model_selection.HalvingRandomSearchCV",
)


@lowers(*_SEARCHES)
def lower_search(estimator: Any, X: Table, context: Context) -> Lowered:
    best = getattr(estimator, "best_estimator_", None)
    if best is None:
        raise context.refuse(
            estimator,
            "it has no best_estimator_ (refit=False)",
            "Set refit=True, or save the estimator you fitted",
        )
    return context.lower(best, X, "best_estimator_")


@transforms(*_SEARCHES)
def transform_search(estimator: Any, X: Table, context: Context) -> Table:
    return context.lower_transformer(estimator.best_estimator_, X, "best_estimator_")


@lowers("sklearn.frozen.FrozenEstimator")
def lower_frozen(estimator: Any, X: Table, context: Context) -> Lowered:
    return context.lower(estimator.estimator, X, "estimator")


@transforms("sklearn.frozen.FrozenEstimator")
def transform_frozen(estimator: Any, X: Table, context: Context) -> Table:
    return context.lower_transformer(estimator.estimator, X, "estimator")


@inverts("sklearn.frozen.FrozenEstimator")
def invert_frozen(estimator: Any, values: Var, context: Context) -> Var:
    with context.inside("estimator"):
        return context.invert(estimator.estimator, values)


@lowers("sklearn.semi_supervised.SelfTrainingClassifier")
def lower_self_training(estimator: Any, X: Table, context: Context) -> Lowered:
    """The classifier of the last round, on an array; releases before 1.6 call it by another name."""
    name = "estimator_" if hasattr(estimator, "estimator_") else "base_estimator_"
    return context.lower(getattr(estimator, name), X.joined(), name)


@lowers("sklearn.model_selection.FixedThresholdClassifier")
def lower_fixed_threshold(estimator: Any, X: Table, context: Context) -> Classification:
    return _with_threshold(estimator, X, estimator.threshold, estimator.pos_label, context)


@lowers("sklearn.model_selection.TunedThresholdClassifierCV")
def lower_tuned_threshold(estimator: Any, X: Table, context: Context) -> Classification:
    positive = estimator._curve_scorer._get_pos_label()  # noqa: SLF001 - no public equivalent
    return _with_threshold(estimator, X, estimator.best_threshold_, positive, context)


def _with_threshold(
    estimator: Any, X: Table, threshold: Any, positive: Any, context: Context
) -> Classification:
    """The positive class where what the classifier says of it is at least the threshold, as scikit-learn has it."""
    part = getattr(estimator, "estimator_", estimator.estimator)
    answer = context.lower_predictor(part, X, "estimator_")
    if not isinstance(answer, Classification) or len(answer.classes) != 2:
        raise context.refuse(estimator, "it holds no classifier of two classes")
    method, said = respond(part, answer, _METHODS[estimator.response_method], context)
    index = 1 if positive is None else int(np.flatnonzero(np.asarray(answer.classes) == positive)[0])
    if method == "predict_proba":
        said = second_column(said) if index == 1 else op.gather(said, constant(0, np.int64), axis=1)
    elif index == 0:
        said = op.neg(said)
    if isinstance(threshold, str):
        threshold = 0.5 if method == "predict_proba" else 0.0
    reached = op.greater_or_equal(said, constant(float(threshold)))
    chosen = op.where(reached, constant(index, np.int64), constant(1 - index, np.int64))
    return replace(answer, index=chosen)
