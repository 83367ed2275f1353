"""CalibratedClassifierCV: what classifiers say, through curves that make probabilities of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import logistic, softmax
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, constant
from afterfit.lowering.sklearn._responses import column, columns, labels, respond, second_column, total

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context

_METHODS = ("decision_function", "predict_proba")
_SMALLEST = 1e-12
_ROUNDED_ABOVE_ONE = 1e-5


@lowers("sklearn.calibration.CalibratedClassifierCV")
def lower_calibrated_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    """The mean of the calibrated probabilities."""
    shares = []
    for i, calibrated in enumerate(estimator.calibrated_classifiers_):
        with context.inside(f"calibrated_classifiers_[{i}]"):
            shares.append(_calibrate(calibrated, X, context))
    mean = op.div(total(shares), constant(float(len(shares))))
    return Classification(np.asarray(estimator.classes_), op.arg_max(mean, axis=1, keepdims=False), mean)


def _calibrate(calibrated: Any, X: Table, context: Context) -> Var:
    part = calibrated.estimator
    answer = context.lower_predictor(part, X, "estimator")
    if isinstance(answer, Regression):
        raise context.refuse(part, "it is a regressor where a classifier is expected")
    method, said = respond(part, answer, _METHODS, context)
    one = len(answer.classes) == 2
    if one and method == "predict_proba":
        said = second_column(said)
    if calibrated.method == "temperature":
        shares = _cooled(calibrated.calibrators[0], said, one, method)
    else:
        shares = _curved(calibrated, said, one, context)
    rounded = op.and_(
        op.greater(shares, constant(1.0)), op.less_or_equal(shares, constant(1.0 + _ROUNDED_ABOVE_ONE))
    )
    return op.where(rounded, constant(1.0), shares)


def _cooled(calibrator: Any, said: Var, one: bool, method: str) -> Var:
    """Temperature scaling. `one`: `said` `[N]` is about the second of two classes, otherwise it is `[N, k]`.

    scikit-learn takes decision values for probabilities where all of a batch lie in [0, 1] and sum to 1; no
    decision values do, other than by accident.
    """
    if method == "predict_proba":
        shares = columns([op.sub(constant(1.0), said), said]) if one else said
        logits = op.log(op.add(shares, constant(_SMALLEST)))
    else:
        logits = columns([op.neg(said), said]) if one else said
    return softmax(op.mul(constant(calibrator.beta_), logits))


def _curved(calibrated: Any, said: Var, one: bool, context: Context) -> Var:
    """One curve a class, their values normalized; for two classes one curve, for the second."""
    count = len(calibrated.classes)
    places = np.searchsorted(calibrated.classes, calibrated.estimator.classes_).tolist()
    found: dict[int, Var] = {}
    for i, calibrator in enumerate(calibrated.calibrators):
        value = said if one else op.gather(said, constant(i, np.int64), axis=1)
        found[places[i] + (count == 2)] = _on_curve(calibrator, value, f"calibrators[{i}]", context)
    if count == 2:
        return columns([op.sub(constant(1.0), found[1]), found[1]])
    nothing = op.mul(next(iter(found.values())), constant(0.0))
    shares = columns([found.get(place, nothing) for place in range(count)])
    sums = op.reduce_sum(shares, constant([1], np.int64))
    return op.where(op.equal(sums, constant(0.0)), constant(1.0 / count), op.div(shares, sums))


def _on_curve(calibrator: Any, value: Var, name: str, context: Context) -> Var:
    if type(calibrator).__name__ == "_SigmoidCalibration":
        slope, intercept = constant(calibrator.a_), constant(calibrator.b_)
        return logistic(op.neg(op.add(op.mul(slope, value), intercept)))
    answer = context.lower_predictor(calibrator, Table.of(column(value), 1), name)
    return labels(calibrator, answer, context)
