"""LightGBM: trees that compare and add up in float64. The same for its estimators and its native booster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._categories import categorical_columns, encode_categories
from afterfit.lowering._links import binary, logistic, softmax
from afterfit.lowering._registry import exports, lowers
from afterfit.lowering._table import Classification, Regression, Table, constant
from afterfit.lowering._tree_ensemble import note_thresholds, refuse_too_large, sum_leaves
from afterfit.lowering.lightgbm._text import ZERO, Text, read_text

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context

_REGRESSORS = ("lightgbm.sklearn.LGBMRegressor", "lightgbm.sklearn.LGBMRanker")
_CLASSIFIERS = ("lightgbm.sklearn.LGBMClassifier",)
_IDENTITY = (
    "fair",
    "huber",
    "lambdarank",
    "mape",
    "quantile",
    "rank_xendcg",
    "regression",
    "regression_l1",
)
_EXPONENTIAL = ("gamma", "poisson", "tweedie")


@lowers("lightgbm.basic.Booster")
def lower_booster(estimator: Any, X: Table, context: Context) -> Regression:
    """What `Booster.predict` returns: probabilities or values, by the objective."""
    values, _, outputs = _respond(estimator, estimator, X, context)
    return _regression(values, outputs)


@lowers(*_REGRESSORS)
def lower_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """What the objective makes of the sums, with the trees up to the best iteration."""
    values, _, outputs = _respond(estimator, estimator.booster_, X, context)
    return _regression(values, outputs)


@lowers(*_CLASSIFIERS)
def lower_classifier(estimator: Any, X: Table, context: Context) -> Classification | Regression:
    """The most probable class; raw scores, as `predict` returns them, where the objective is a function.

    The scores are `decision_function`, which LightGBM has since 4.7, and estimators around it ask for.
    """
    values, scores, outputs = _respond(estimator, estimator.booster_, X, context)
    if callable(estimator.objective):
        return _regression(values, outputs)
    probabilities = binary(values) if outputs == 1 else values
    index = op.arg_max(probabilities, axis=1, keepdims=False)
    scores = op.reshape(scores, constant([-1], np.int64)) if outputs == 1 else scores
    return Classification(np.asarray(estimator.classes_), index, probabilities, scores)


@exports("lightgbm.basic.Booster")
def export_booster(estimator: Any) -> dict[str, bytes]:
    """LightGBM's text, as `Booster.save_model("model.txt")` writes it."""
    return {"model.txt": estimator.model_to_string().encode()}


@exports(*_REGRESSORS, *_CLASSIFIERS)
def export_estimator(estimator: Any) -> dict[str, bytes]:
    """Its booster, as text."""
    return export_booster(estimator.booster_)


def _regression(values: Var, outputs: int) -> Regression:
    if outputs == 1:
        return Regression(op.reshape(values, constant([-1], np.int64)))
    return Regression(values, outputs)


def _respond(estimator: Any, booster: Any, X: Table, context: Context) -> tuple[Var, Var, int]:
    """The answers float64 `[N, outputs]`, the scores that they are made of `[N, outputs]`, and `outputs`."""
    categories = _categories(estimator, booster, X, context)
    text = read_text(
        booster.model_to_string(), {position: len(values) for position, values in categories.items()}
    )
    scores = said = _scores(estimator, text, categories, X, context)
    if text.averaged:
        # Raw scores are sums, in a forest too.
        said = op.div(scores, constant(float(_trees(estimator, text, context).count // text.outputs)))
    return _transform(estimator, text.objective, said, context), scores, text.outputs


def _categories(estimator: Any, booster: Any, X: Table, context: Context) -> dict[int, list[Any]]:
    """The categories of each column of a categorical dtype, in the order of their codes."""
    kept = booster.pandas_categorical or []
    columns = categorical_columns(X, context)
    if len(columns) != len(kept):
        raise context.refuse(
            estimator,
            f"it was fitted on {len(kept)} columns of a categorical dtype, and receives {len(columns)}",
            "Give X as the DataFrame it was fitted on, with the same categorical columns",
        )
    return dict(zip(columns, kept, strict=True))


def _trees(estimator: Any, text: Text, context: Context) -> Any:
    if text.trees is None:
        raise context.refuse(estimator, "it has no trees", "Fit it with n_estimators of at least 1")
    return text.trees


def _scores(estimator: Any, text: Text, categories: dict[int, list[Any]], X: Table, context: Context) -> Var:
    trees = _trees(estimator, text, context)
    refuse_too_large(estimator, trees.nodes, context)
    if text.linear:
        raise context.refuse(
            estimator, "its leaves are linear models (linear_tree)", "Fit it with linear_tree=False"
        )
    if set(text.zero_is_missing) & set(text.other_missing):
        raise context.refuse(
            estimator,
            "zeros of one column count as missing in some of its trees and not in others",
            "Fit all its trees with the same zero_as_missing",
        )
    received = encode_categories(estimator, X, categories, context, closed=False)
    matrix = _truncate_codes(text, categories, X, context.numbers(estimator, received))
    if text.zero_is_missing:
        is_zero = op.less_or_equal(op.abs(matrix), constant(ZERO))
        counts = op.constant(value=np.isin(np.arange(X.width), text.zero_is_missing))
        matrix = op.where(op.and_(is_zero, counts), constant(np.nan), matrix)
    note_thresholds(context, matrix, received, trees)
    return sum_leaves(matrix, X.width, trees, text.values, start=np.zeros(text.outputs))


def _truncate_codes(text: Text, categories: dict[int, list[Any]], X: Table, matrix: Var) -> Var:
    """Columns that were given as codes, not as categories: their numbers are cut to integers, towards zero."""
    given = [position for position in text.by_category if position not in categories]
    if not given:
        return matrix
    cut = op.where(op.less(matrix, constant(0.0)), op.ceil(matrix), op.floor(matrix))
    return op.where(op.constant(value=np.isin(np.arange(X.width), given)), cut, matrix)


def _transform(estimator: Any, objective: tuple[str, ...], scores: Var, context: Context) -> Var:
    """The transformation that an objective makes of scores `[N, outputs]`; none where it is a function."""
    name = objective[0] if objective else "custom"
    options = dict(option.partition(":")[::2] for option in objective[1:])
    if name in {"binary", "multiclassova", "cross_entropy"}:
        factor = float(options.get("sigmoid", "1"))
        return logistic(op.mul(scores, constant(factor)))
    if name == "multiclass":
        return softmax(scores)
    if name in {*_EXPONENTIAL, "cross_entropy_lambda"}:
        exponential = op.exp(scores)
        return exponential if name in _EXPONENTIAL else op.log(op.add(constant(1.0), exponential))
    if name in {*_IDENTITY, "custom"}:
        return op.mul(op.mul(op.sign(scores), scores), scores) if "sqrt" in options else scores
    raise context.refuse(
        estimator,
        f"its objective {name!r} is not known here",
        "Fit it with one of LightGBM's objectives that docs/boosters.md lists",
    )
