"""XGBoost's scikit-learn estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import softmax
from afterfit.lowering._registry import exports, lowers
from afterfit.lowering._table import Classification, Labels, Regression, Table, constant, round_to_float32
from afterfit.lowering.xgboost._booster import export_booster, lower_margins, regression, respond
from afterfit.lowering.xgboost._dump import Dump, read_dump

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context

_REGRESSORS = (
    "xgboost.sklearn.XGBRegressor",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRanker",
)
_CLASSIFIERS = ("xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRFClassifier")


@lowers(*_REGRESSORS)
def lower_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """What the objective makes of the margins, with the trees up to the best iteration."""
    dump, margins = _margins(estimator, X, context)
    return regression(respond(estimator, dump, margins, context), dump)


@lowers(*_CLASSIFIERS)
def lower_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    """Three classes and more: the most probable one. Two: the second where its probability is over 0.5.

    Several labels a row: each where its probability is over 0.5.
    """
    dump, margins = _margins(estimator, X, context)
    classes = np.arange(estimator.n_classes_)
    if estimator.objective == "multi:softmax":
        index = op.arg_max(margins, axis=1, keepdims=False)
        return Classification(classes, index, round_to_float32(softmax(margins)))
    values = respond(estimator, dump, margins, context)
    if dump.outputs > 1 and len(classes) != 2:
        return Classification(classes, op.arg_max(values, axis=1, keepdims=False), values)
    likely = op.greater(values, constant(0.5))
    if dump.outputs > 1:
        chosen = op.cast(likely, to=np.float64)
        return Labels(chosen, dump.outputs, np.dtype(np.float64), values)
    index = op.cast(op.reshape(likely, constant([-1], np.int64)), to=np.int64)
    other = round_to_float32(op.sub(constant(1.0), values))
    return Classification(classes, index, op.concat([other, values], axis=1))


@exports(*_REGRESSORS, *_CLASSIFIERS)
def export_estimator(estimator: Any) -> dict[str, bytes]:
    """Its booster, as UBJSON."""
    return export_booster(estimator.get_booster())


def _margins(estimator: Any, X: Table, context: Context) -> tuple[Dump, Var]:
    dump = read_dump(estimator.get_booster())
    stopped = estimator.get_booster().attr("best_iteration")
    rounds = None if stopped is None or dump.booster == "gblinear" else int(stopped) + 1
    missing = np.nan if estimator.missing is None else float(estimator.missing)
    return dump, lower_margins(estimator, dump, X, context, missing=missing, rounds=rounds)
