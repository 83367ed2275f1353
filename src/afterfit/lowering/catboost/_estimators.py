"""CatBoost: float32 columns against float32 borders, sums in float64, then scale and bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import binary, logistic, softmax
from afterfit.lowering._registry import exports, lowers, raises
from afterfit.lowering._table import Classification, Labels, Regression, Table, constant
from afterfit.lowering._tree_ensemble import note_thresholds, refuse_too_large, sum_leaf_rows, sum_leaves
from afterfit.lowering.catboost._categories import Columns
from afterfit.lowering.catboost._json import (
    NUMBER,
    ONE_HOT,
    STATISTIC,
    Dump,
    read_json,
    read_trees,
    save_json,
)
from afterfit.lowering.catboost._statistics import ambiguous_types

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context

_RAW = ("catboost.core.CatBoost", "catboost.core.CatBoostRanker")
_REGRESSORS = ("catboost.core.CatBoostRegressor",)
_CLASSIFIERS = ("catboost.core.CatBoostClassifier",)
_EXPONENTIAL = ("Poisson", "Tweedie")
_SEVERAL_LABELS = ("MultiLogloss", "MultiCrossEntropy")

raises("catboost.CatBoostError")


@lowers(*_RAW)
def lower_raw(estimator: Any, X: Table, context: Context) -> Regression:
    """What `predict` returns by default: raw values, whatever the loss."""
    dump, raw = _raw(estimator, X, context)
    return _regression(raw, dump)


@lowers(*_REGRESSORS)
def lower_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """Raw values, or their exponential for the losses with a logarithm as their link.

    With `RMSEWithUncertainty` the mean and the variance, which is the exponential of twice the raw value.
    """
    dump, raw = _raw(estimator, X, context)
    kind = estimator._get_default_prediction_type()  # noqa: SLF001 - no public equivalent
    if kind == "Exponent":
        raw = op.exp(raw)
    elif kind == "RMSEWithUncertainty":
        mean, spread = (op.gather(raw, constant([column], np.int64), axis=1) for column in (0, 1))
        raw = op.concat([mean, op.exp(op.mul(spread, constant(2.0)))], axis=1)
    return _regression(raw, dump)


@lowers(*_CLASSIFIERS)
def lower_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    """The class with the largest raw value; of two, the second where its probability is over the threshold."""
    dump, raw = _raw(estimator, X, context)
    classes = np.asarray(estimator.classes_)
    if dump.loss in _SEVERAL_LABELS:
        likely = op.cast(op.greater(raw, constant(0.0)), to=np.int64)
        return Labels(likely, dump.outputs, np.dtype(np.int64), logistic(raw))
    if dump.outputs == 1:
        threshold = float(estimator.get_probability_threshold())
        over = op.greater(raw, constant(-np.log(1 / threshold - 1)))
        index = op.cast(op.reshape(over, constant([-1], np.int64)), to=np.int64)
        return Classification(classes, index, binary(logistic(raw)))
    index = op.arg_max(raw, axis=1, keepdims=False)
    apart = dump.loss == "MultiClassOneVsAll"
    return Classification(classes, index, logistic(raw) if apart else softmax(raw))


@exports(*_RAW, *_REGRESSORS, *_CLASSIFIERS)
def export(estimator: Any) -> dict[str, bytes]:
    """JSON, as `save_model("model.json", format="json")` writes it."""
    return {"model.json": save_json(estimator)}


def _regression(values: Var, dump: Dump) -> Regression:
    if dump.outputs == 1:
        return Regression(op.reshape(values, constant([-1], np.int64)))
    return Regression(values, dump.outputs)


def _raw(estimator: Any, X: Table, context: Context) -> tuple[Dump, Var]:
    """The raw values float64 `[N, outputs]`."""
    for kind, indices in (
        ("text", estimator.get_text_feature_indices()),
        ("embedding", estimator.get_embedding_feature_indices()),
    ):
        if len(indices):
            raise context.refuse(
                estimator,
                f"it reads {kind} features (columns {list(indices)})",
                f"Fit it without {kind}_features",
            )
    dump = read_json(save_json(estimator))
    others = {split["split_type"] for split in dump.splits()} - {NUMBER, ONE_HOT, STATISTIC}
    if others:
        raise context.refuse(
            estimator, f"it has splits of a kind that is not known: {', '.join(sorted(others))}"
        )
    ambiguous = ambiguous_types(dump.document) if dump.statistics else []
    if ambiguous:
        raise context.refuse(
            estimator,
            f"it makes statistics of the type {', '.join(ambiguous)} with several sets of target borders, and its JSON "
            "keeps one of them",
            "Name each type once in simple_ctr, combinations_ctr and per_feature_ctr, with one TargetBorderCount",
        )
    if not dump.trees:
        raise context.refuse(estimator, "it has no trees", "Fit it with iterations of at least 1")
    columns = Columns.of(estimator, dump, X, context)
    trees, values = read_trees(dump, columns.places, columns.statistics)
    refuse_too_large(estimator, trees.nodes, context)
    matrix = context.numbers(estimator, columns.table)
    note_thresholds(context, matrix, columns.table, trees)
    width = columns.table.width
    if dump.outputs == 1:
        sums = sum_leaves(matrix, width, trees, values[:, 0])
    else:
        sums = sum_leaf_rows(matrix, width, trees, values)
    if dump.scale != 1.0:
        sums = op.mul(sums, constant(dump.scale))
    return dump, op.add(sums, constant(dump.bias))
