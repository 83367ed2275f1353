"""HistGradientBoosting: trees that compare float64, with a side for NaN and splits by sets of categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import binary, flat, logistic, softmax
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, concatenate, constant
from afterfit.lowering._tree_ensemble import Trees, note_thresholds, refuse_too_large, sum_leaves

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_LOG_LINK = ("gamma", "poisson")


@lowers("sklearn.ensemble.HistGradientBoostingClassifier")
def lower_hist_gradient_boosting_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    """The logistic function of the sum, or the softmax of the sums for three classes and more."""
    classes = len(estimator.classes_)
    if classes == 1:
        raise context.refuse(
            estimator, "it learned one class only", "Fit it on labels of at least two classes"
        )
    raw = _raw(estimator, X, context)
    if classes > 2:
        index = op.arg_max(raw, axis=1, keepdims=False)
        return Classification(estimator.classes_, index, softmax(raw), raw)
    index = op.cast(flat(op.greater(raw, constant(0.0))), to=np.int64)
    return Classification(estimator.classes_, index, binary(logistic(raw)), flat(raw))


@lowers("sklearn.ensemble.HistGradientBoostingRegressor")
def lower_hist_gradient_boosting_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The sum, or its exponential where the loss has a logarithm as its link."""
    raw = flat(_raw(estimator, X, context))
    return Regression(op.exp(raw) if estimator.loss in _LOG_LINK else raw)


def _raw(estimator: Any, X: Table, context: Context) -> Var:
    """The raw scores `[N, k]`, one for each tree of an iteration."""
    predictors = [tree for iteration in estimator._predictors for tree in iteration]  # noqa: SLF001 - no public equivalent
    refuse_too_large(estimator, sum(len(tree.nodes) for tree in predictors), context)
    received = _encode(estimator, X, context)
    matrix = context.numbers(estimator, received)
    start: NDArray[np.float64] = estimator._baseline_prediction.ravel()  # noqa: SLF001 - no public equivalent
    if not predictors:
        raise context.refuse(estimator, "it has no trees", "Fit it with max_iter of at least 1")
    known, places = estimator._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001 - no public equivalent
    known = _bits(known)
    trees = Trees.join(_read(tree, known, places) for tree in predictors)
    note_thresholds(context, matrix, received, trees)
    values = np.concatenate([tree.nodes["value"] for tree in predictors])
    return sum_leaves(matrix, received.width, trees, values, start=start)


def _encode(estimator: Any, X: Table, context: Context) -> Table:
    """The columns as the trees number them: those of categories first, as their codes, then the others.

    An unknown category is encoded as NaN, and so takes the side of missing values, as in scikit-learn.
    """
    is_categorical = estimator.is_categorical_
    if is_categorical is None:
        return X
    encoder = estimator._preprocessor.named_transformers_["encoder"]  # noqa: SLF001 - no public equivalent
    encoded = context.lower_transformer(encoder, X.select(np.flatnonzero(is_categorical).tolist()), "encoder")
    return concatenate([encoded, X.select(np.flatnonzero(~is_categorical).tolist())])


def _bits(bitsets: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Bitsets uint32 `[s, 8]` as bool `[s, 256]`."""
    little = np.ascontiguousarray(bitsets, dtype="<u4").view(np.uint8)
    return np.unpackbits(little, axis=1, bitorder="little").astype(np.bool_)


def _read(tree: Any, known: NDArray[np.bool_], places: NDArray[np.uint32]) -> Trees:
    nodes = tree.nodes
    is_leaf = nodes["is_leaf"] == 1
    missing_left = nodes["missing_go_to_left"] == 1
    threshold = nodes["num_threshold"].astype(np.float64)
    feature = nodes["feature_idx"].astype(np.int64)

    category_set = np.full(len(nodes), -1)
    splits = np.flatnonzero((nodes["is_categorical"] == 1) & ~is_leaf)
    known_here = known[places[feature[splits]]]
    goes_left = _bits(tree.raw_left_cat_bitsets)[nodes["bitset_idx"][splits]] & known_here
    # Where missing values alone go left the set is empty, and codes, from 0 up, are never at most -1.
    some = goes_left.any(axis=1)
    threshold[splits[~some]] = -1.0
    category_set[splits[some]] = np.arange(some.sum())
    return Trees(
        starts=np.array([0, len(nodes)]),
        feature=feature,
        threshold=threshold,
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        is_leaf=is_leaf,
        missing_left=missing_left,
        samples=nodes["count"].astype(np.int64),
        category_set=category_set,
        goes_left=goes_left[some],
        categories=known_here[some].sum(axis=1),
    )
